"""How long a job still takes, by its pace so far."""

import time
from collections.abc import Iterable
from itertools import accumulate
from types import SimpleNamespace

import pytest

from engine.domain.jobs import MeasureProbes
from engine.jobs.journal import Journal
from engine.jobs.task import JobTask
from engine.store import Store


def told(store: Store, monkeypatch: pytest.MonkeyPatch, at: Iterable[tuple[float, float]]) -> list[float | None]:
    """The seconds that a job tells as left, at each of these (seconds, fraction)."""
    clock = SimpleNamespace(monotonic=lambda: 0.0, time=time.time)
    monkeypatch.setattr("engine.jobs.task.time", clock)
    journal, left = Journal(store), []
    task = JobTask(journal, journal.open(MeasureProbes(run="one"), "a job"))
    for second, fraction in at:
        clock.monotonic = lambda second=second: second
        task.report(fraction, "")
        left.append(task.record.progress.eta_s)
    return left


def test_what_passes_before_the_work_begins_says_nothing_of_its_pace(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = [(0.0, 0.0), (30.0, 0.0)]
    left = told(store, monkeypatch, [*loading, *((30.0 + second, second / 100) for second in range(1, 100))])
    assert left[:3] == [None, None, None]
    assert left[3:] == pytest.approx([100 - second for second in range(2, 100)])


def test_the_time_left_does_not_jump_with_the_pace_of_a_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten minutes, half a minute of twice the pace is followed by half a minute of none, and so on."""
    done = accumulate((2 if second // 30 % 2 == 0 else 0 for second in range(599)), initial=0)
    left = told(store, monkeypatch, enumerate(fraction / 600 for fraction in done))
    for second in range(200, 600):
        found = left[second]
        assert found is not None
        assert found == pytest.approx(600 - second, rel=0.35, abs=40)


def test_a_stage_of_another_pace_is_soon_told_by_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth a second, then a thousandth."""
    fast = [(float(second), second / 100) for second in range(51)]
    slow = [(50.0 + second, 0.5 + second / 1000) for second in range(1, 501)]
    left = told(store, monkeypatch, [*fast, *slow])
    assert left[50] == pytest.approx(50)
    assert left[50 + 30] == pytest.approx(470)
