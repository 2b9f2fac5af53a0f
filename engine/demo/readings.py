"""What was seen of the circuits of the bundled runs, checkpoint by checkpoint, with the demo's shared transcoders."""

from engine.domain.decisions import RunDecisions
from engine.domain.jobs import CancelToken, Report
from engine.domain.runs import RunConfig
from engine.store import Store


def add_readings(store: Store, config: RunConfig, report: Report, cancel: CancelToken) -> None:
    """Keep a look at every checkpoint of the run, as if it had been watched while it trained.

    Afterwards instead, because then there is one transcoder set that has seen them all and is never refreshed.
    """
    from engine.workflows.watching import CircuitWatcher

    watched = config.model_copy(
        update={"decisions": config.decisions.model_copy(update={"refresh_steps": 0}), "watch": True}
    )
    watcher, previous, readings = CircuitWatcher(store, watched, cancel), None, []
    checkpoints = store.checkpoints(config.name)
    for done, checkpoint in enumerate(checkpoints):
        report(done / len(checkpoints), f"Looking at {checkpoint.ref}")
        readings.append(watcher.take_reading(checkpoint, previous))
        previous = checkpoint
    store.save_decisions(config.name, RunDecisions(readings=tuple(readings)))
