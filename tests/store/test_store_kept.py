"""Values in memory are bounded by their bytes, are made once, and those in use stay."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from engine.store.kept import VARIABLE, KeptValues, default_budget, kept_values, n_bytes_of

MB = 1_000_000


def array(n_bytes: int) -> np.ndarray:
    return np.zeros(n_bytes, np.uint8)


def test_never_more_than_the_budget_and_the_unused_goes_first() -> None:
    kept = KeptValues(10 * MB)
    for name in "abc":
        kept.get(name, lambda: array(3 * MB))
    kept.get("a", lambda: pytest.fail("it is kept"))
    kept.get("d", lambda: array(3 * MB))
    assert [kept.has(name) for name in "abcd"] == [True, False, True, True]
    assert 9 * MB <= kept.n_bytes <= 10 * MB
    kept.get("e", lambda: array(9 * MB))
    assert [kept.has(name) for name in "acde"] == [False, False, False, True]
    assert kept.n_bytes <= 10 * MB


def test_what_is_larger_than_the_budget_is_given_and_takes_nothing_from_others() -> None:
    kept = KeptValues(2 * MB)
    kept.get("small", lambda: array(MB))
    assert len(kept.get("large", lambda: array(3 * MB))) == 3 * MB
    assert kept.has("small")
    assert not kept.has("large")


def test_an_error_is_passed_on_and_tried_again() -> None:
    kept = KeptValues(MB)

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.get("x", fail)
    assert kept.get("x", lambda: 5) == 5


def test_none_is_a_value() -> None:
    kept = KeptValues(MB)
    assert kept.get("x", lambda: None) is None
    assert kept.get("x", lambda: pytest.fail("it is kept")) is None


def test_many_threads_make_a_value_once_and_do_not_wait_for_others() -> None:
    kept, made, may_go_on = KeptValues(MB), [], threading.Event()

    def slow() -> int:
        made.append(1)
        assert may_go_on.wait(10)
        return 7

    threads = [threading.Thread(target=lambda: kept.get("slow", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert kept.get("other", lambda: 3) == 3  # while the slow one is being made
    may_go_on.set()
    for thread in threads:
        thread.join()
    assert made == [1]


@dataclass(frozen=True)
class Pair:
    a: np.ndarray
    b: np.ndarray
    table: pd.DataFrame


def test_sizes_are_those_of_the_arrays_each_once() -> None:
    one = array(MB)
    table = pd.DataFrame({"x": np.zeros(50_000), "word": ["a longer word than most"] * 50_000})
    expected = MB + table.memory_usage(deep=True).sum()
    assert expected > MB + 400_000 + 50_000 * len("a longer word than most")
    assert n_bytes_of(Pair(one, one, table)) == pytest.approx(expected, rel=0.01)
    assert n_bytes_of([one, {"again": one}]) == pytest.approx(MB, rel=0.01)
    assert n_bytes_of(["x" * 1000, "y" * 1000]) == pytest.approx(2000, rel=0.2)


def test_a_value_that_refers_to_itself_is_measured() -> None:
    loop: list[object] = [array(1000)]
    loop.append(loop)
    assert 1000 <= n_bytes_of(loop) < 2000


def test_what_somebody_still_has_is_found_again_and_goes_with_them() -> None:
    kept = KeptValues(10 * MB)
    model = kept.get("model", lambda: array(6 * MB), holder="models")
    kept.get("other", lambda: array(6 * MB))
    assert not kept.has("model")
    assert kept.n_bytes_in_use == pytest.approx(6 * MB, rel=0.01)
    assert kept.get("model", lambda: pytest.fail("a job has it")) is model
    assert kept.by_holder().keys() == {"models"}
    kept.get("other", lambda: array(6 * MB))  # it goes again
    del model
    assert kept.n_bytes_in_use == 0
    made: list[int] = []
    kept.get("model", lambda: made.append(1) or array(1))  # type: ignore[func-returns-value]
    assert made == [1]


def test_what_is_larger_than_the_budget_is_not_made_twice_while_it_is_used() -> None:
    kept = KeptValues(MB)
    model = kept.get("model", lambda: array(5 * MB))
    assert kept.get("model", lambda: pytest.fail("a job has it")) is model
    assert (kept.n_bytes, len(kept)) == (0, 0)


def test_room_is_made_before_a_large_value_is() -> None:
    kept = KeptValues(10 * MB)
    kept.get("old", lambda: array(6 * MB))

    def make() -> np.ndarray:
        assert kept.n_bytes == 0
        return array(7 * MB)

    kept.get("new", make, expected=7 * MB)
    assert kept.has("new")


def test_work_that_needs_memory_gets_what_nobody_has() -> None:
    kept = KeptValues(10 * MB)
    kept.get("a", lambda: array(3 * MB))
    mine = kept.get("b", lambda: array(3 * MB))
    kept.get("c", lambda: array(3 * MB))
    assert kept.let_go(5 * MB) == pytest.approx(3 * MB, rel=0.01)
    assert [kept.has(name) for name in "abc"] == [False, False, True]
    assert kept.let_go(0) == 0
    assert kept.let_go(100 * MB) == pytest.approx(3 * MB, rel=0.01)
    assert kept.get("b", lambda: pytest.fail("it is in use")) is mine


def test_it_is_told_who_keeps_how_much() -> None:
    kept = KeptValues(10 * MB)
    kept.get("chart", lambda: "x" * MB)
    kept.get("model", lambda: array(1), holder="models", size=lambda _: 3 * MB)
    assert list(kept.by_holder()) == ["models", "what pages show"]
    assert kept.by_holder()["models"] == 3 * MB
    assert kept.n_bytes == sum(kept.by_holder().values())
    kept.clear()
    assert (kept.n_bytes, kept.by_holder()) == (0, {})


def test_all_of_a_process_share_one_budget() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len({id(one) for one in pool.map(lambda _: kept_values(), range(32))}) == 1


def test_the_budget_is_what_the_variable_says_else_a_part_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "12.5")
    assert default_budget() == 12_500_000
    monkeypatch.setattr("engine.store.kept.free_here", lambda: 4_000)
    for odd in ("", "much"):
        monkeypatch.setenv(VARIABLE, odd)
        assert default_budget() == 2_000
