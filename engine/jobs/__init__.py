"""Background work: threads that run workflows, and the journals that tell every process how far they are."""

from engine.jobs.inline import run_inline
from engine.jobs.manager import JobManager

__all__ = ["JobManager", "run_inline"]
