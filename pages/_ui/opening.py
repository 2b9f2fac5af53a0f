"""What pages open with where their address says nothing: one's own fine-tune where there is one, else the demo."""

from engine.demo.recipe import RUN_A, RUN_B
from engine.store import RunInfo
from pages._ui.demo import DEFAULT_A, DEFAULT_B
from pages._ui.session import store


def newest_own() -> RunInfo | None:
    """The newest run with a checkpoint whose base model did not come with Tracelapse: whoever has one is here for it.

    Runs of the demo's model are tried out beside the demo's own, which a page goes on opening with.
    """
    return next((info for info in store().runs() if info.steps and info.config.model.source != "bundled"), None)


def first_runs() -> list[str]:
    """Of one's own the newest run, else both of the demo, else any one; empty where no run has a checkpoint."""
    runs = [info.name for info in store().runs() if info.steps]
    own = newest_own()
    return [own.name] if own else [name for name in (RUN_A, RUN_B) if name in runs] or runs[:1]


def first_sides() -> tuple[str, str]:
    """A and B of a comparison, as `run@label`: the demo's story, or the base and the last checkpoint of a run.

    Raises IndexError where no run has a checkpoint.
    """
    runs = first_runs()
    if runs == [RUN_A, RUN_B]:
        return DEFAULT_A, DEFAULT_B
    checkpoints = store().checkpoints(runs[0])
    return checkpoints[0].ref, checkpoints[-1].ref
