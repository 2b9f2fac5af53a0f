"""The bundled demo: which runs it consists of, and a live one like them. Light: Home's first words wait for it."""

from engine.domain.jobs import Train
from engine.domain.runs import RunConfig
from engine.store.infos import RunInfo
from pages._ui.forms import free_name
from pages._ui.jobs.state import start_job
from pages._ui.session import jobs, store

CORPUS, RUN_A, RUN_B = "demo", "demo-lora", "demo-tokens"
DEFAULT_A, DEFAULT_B = f"{RUN_A}@100%", f"{RUN_B}@100%"
LIVE_EVERY = 25  # steps between checkpoints of a run that is to be watched


def demo_runs() -> list[RunInfo]:
    """The two bundled runs in the order of the story (A as in Compare), where they are here."""
    bundled = {info.config.name: info for info in store().runs() if info.bundled}
    return [bundled[name] for name in (RUN_A, RUN_B) if name in bundled]


def run_live() -> str:
    """Submit a fresh run with the defaults on the bundled corpus; its name."""
    taken = {info.config.name for info in store().runs()}
    taken |= {job.request.config.name for job in jobs().snapshot() if isinstance(job.request, Train)}
    config = RunConfig(name=free_name("live", taken), corpus=CORPUS, capture_every=LIVE_EVERY)
    start_job(Train(config=config))
    return config.name
