"""The peak of a process's memory over a stretch of work, sampled in a thread of its own.

The kernel keeps a peak as well, but only of a process's whole life: not every system lets it be reset.
"""

import threading
from collections.abc import Callable

SAMPLE_S = 0.02  # with a sample each 0.005 s a trace on every core took a twentieth longer


def own_memory_mb() -> float:
    """Resident memory of this process."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


class MemorySampler:
    """Use as a context manager. Within it and after it, `mb` is the highest sample so far."""

    def __init__(self, read: Callable[[], float] = own_memory_mb, *, every_s: float = SAMPLE_S) -> None:
        self._read, self._every_s = read, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.mb = self._before = read()

    @property
    def rise_mb(self) -> float:
        """The highest sample above the first, which was taken before the work began."""
        return self.mb - self._before

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.mb = max(self.mb, self._read())
