"""How much more memory training takes than what was in use when it began."""

import contextlib
import ctypes
import gc
import threading

import psutil
import torch

EVERY_S = 0.02  # between two looks at the process; a peak that is shorter may be missed


class PeakMemory:
    """Watches while it is entered. On a GPU torch's own peak; else the process's resident memory, in a thread."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._peak, self._watching = device, 0, False
        self._process = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._at_start = 0

    def peak(self) -> int:
        """Bytes, the most so far, above what was in use at the start."""
        if self._watching:
            self._look()
        return self._peak

    def count(self, earlier: int) -> None:
        """Take in the peak of an earlier sitting."""
        self._peak = max(self._peak, earlier)

    def __enter__(self) -> "PeakMemory":
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._at_start = torch.cuda.memory_allocated(self._device)
        else:
            _give_back()
            self._at_start = self._resident()
            self._thread.start()
        self._watching = True
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        now = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else self._resident()
        self._peak = max(self._peak, now - self._at_start)

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)


def _give_back() -> None:
    """What was freed goes back to the system: else a run takes up what the one before it left, and seems frugal."""
    gc.collect()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # glibc's own; elsewhere there is none
        ctypes.CDLL(None).malloc_trim(0)
