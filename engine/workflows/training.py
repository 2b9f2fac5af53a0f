"""Train a run. One run trains at a time in a workspace, whichever process asks."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.domain.jobs import CancelToken, Report, Train
from engine.store import Store

WAIT_S = 0.5  # between two tries for the lock


def train(store: Store, request: Train, report: Report, cancel: CancelToken) -> str:
    """Returns the run's name. Raises what `fine_tune` raises."""
    from engine.training.fine_tune import complete, fine_tune

    complete(request.config, store.corpus(request.config.corpus))  # a wrong name should not wait for another training
    with training_alone(store, report, cancel):
        fine_tune(store, request.config, report, cancel, resume=request.resume)
    return request.config.name


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
