"""Looks at circuits while training goes on: one at a time, in a second thread."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import torch

from engine.domain.decisions import CircuitReading
from engine.domain.runs import Checkpoint


class Watcher(Protocol):
    """Sees the circuits of a checkpoint. Implemented above this floor, since it needs tracing."""

    def take_reading(self, checkpoint: Checkpoint, previous: Checkpoint | None) -> CircuitReading:
        """The circuits of `checkpoint`, and their change since `previous` (the capture before; None for the base).

        Called in the second thread, one call at a time, in the order of captures; the run's stored decisions then hold
        all looks before. Must come out the same whenever it is asked, also in another process: a look that an
        interruption lost is made again. Asks a cancel token of its own, and raises Canceled.
        """


class ReadingQueue:
    """At most one look under way. Made by `reading_queue`."""

    def __init__(self, watcher: Watcher, executor: ThreadPoolExecutor) -> None:
        self._watcher, self._executor = watcher, executor
        self._future: Future[CircuitReading] | None = None

    @property
    def is_ready(self) -> bool:
        return self._future is None or self._future.done()

    def ask(self, checkpoint: Checkpoint, previous: Checkpoint | None) -> None:
        """Begin a look; the one before has been waited for."""
        assert self._future is None
        self._future = self._executor.submit(self._watcher.take_reading, checkpoint, previous)

    def wait(self) -> CircuitReading:
        """The look asked for last. Raises what the watcher raises."""
        future, self._future = self._future, None
        assert future is not None
        return future.result()


@contextmanager
def reading_queue(watcher: Watcher | None, device: torch.device) -> Iterator[ReadingQueue | None]:
    """Looks with as many torch threads as the caller has, on the same device. None without a watcher.

    At the end no thread is left behind: a look that is under way is waited for, whatever came of the training. The
    watcher's own cancel token cuts that short.
    """
    if watcher is None:
        yield None
        return
    executor = ThreadPoolExecutor(1, "looks", initializer=_prepare, initargs=(torch.get_num_threads(), device))
    try:
        yield ReadingQueue(watcher, executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _prepare(n_threads: int, device: torch.device) -> None:
    """Both settings belong to a thread."""
    torch.set_num_threads(n_threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
