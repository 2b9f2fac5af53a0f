"""Wall time of two sides, in turns."""

import time
from collections.abc import Callable, Sequence
from statistics import median


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def medians(actions: Sequence[Callable[[], object]], *, rounds: int, warm_up: int = 1) -> tuple[float, ...]:
    """Median seconds of each action over `rounds`, taken in turns after `warm_up` untimed rounds."""
    taken: list[list[float]] = [[] for _ in actions]
    for turn in range(warm_up + rounds):
        for times, action in zip(taken, actions, strict=True):
            duration = seconds(action)
            if turn >= warm_up:
                times.append(duration)
    return tuple(median(times) for times in taken)
