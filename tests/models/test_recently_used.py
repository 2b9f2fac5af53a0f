"""The cache of costly things: bounded, made once, never half made."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.models.recently_used import RecentlyUsed


def test_the_one_unused_for_longest_goes() -> None:
    kept: RecentlyUsed[str] = RecentlyUsed(2)
    made: list[str] = []
    for key in "abacab":
        kept.get(key, lambda key=key: made.append(key) or key)  # type: ignore[misc]
    assert made == list("abcb")  # b went for c, then c for b; a was used in between
    assert len(kept) == 2


def test_threads_that_ask_for_the_same_get_one() -> None:
    kept: RecentlyUsed[object] = RecentlyUsed(2)
    made: list[int] = []
    start = threading.Barrier(8)

    def make() -> object:
        time.sleep(0.02)
        made.append(1)
        return object()

    def ask(_: int) -> object:
        start.wait()
        return kept.get("key", make)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(ask, range(8)))
    assert len(made) == 1
    assert len({id(value) for value in values}) == 1


def test_what_failed_is_tried_again() -> None:
    kept: RecentlyUsed[int] = RecentlyUsed(1)

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.get("key", fail)
    assert kept.get("key", lambda: 3) == 3
