"""Train a run. One run trains at a time in a workspace, whichever process asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.decisions import needs_circuits
from engine.domain.jobs import CancelToken, Report, Train
from engine.domain.runs import RunConfig
from engine.store import Store

if TYPE_CHECKING:
    from engine.workflows.watching import CircuitWatcher

WAIT_S = 0.5  # between two tries for the lock


def train(store: Store, request: Train, report: Report, cancel: CancelToken) -> str:
    """Returns the run's name. Raises what `fine_tune` raises."""
    from engine.training.fine_tune import complete, fine_tune

    # a wrong name should not wait for another training
    config = complete(request.config, store.corpus(request.config.corpus))
    with training_alone(store, report, cancel):
        watcher = _watcher(store, config, cancel)
        fine_tune(store, request.config, report, cancel, resume=request.resume, watcher=watcher)
    return request.config.name


def _watcher(store: Store, config: RunConfig, cancel: CancelToken) -> "CircuitWatcher | None":
    if not needs_circuits(config):
        return None
    from engine.workflows.watching import CircuitWatcher

    return CircuitWatcher(store, config, cancel)


@contextmanager
def training_alone(store: Store, report: Report, cancel: CancelToken) -> Iterator[None]:
    """Holds the workspace's training lock, which a dying process lets go of. Can be cancelled while waiting."""
    from filelock import FileLock, Timeout

    lock = FileLock(store.workspace / "train.lock")
    while True:
        try:
            lock.acquire(timeout=WAIT_S)
            break
        except Timeout:
            report(0.0, "waiting for another training to finish")
            cancel.check()
    try:
        yield
    finally:
        lock.release()
