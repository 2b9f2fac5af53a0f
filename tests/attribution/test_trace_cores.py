"""A trace uses the cores that no other job counts on, and its bits do not tell how many there were."""

import threading
from typing import Any

import numpy as np
import pytest

from engine.attribution import batches, middle
from engine.attribution.effects import Effects
from engine.attribution.trace import trace_graph
from engine.domain.errors import Canceled
from engine.domain.graphs import AttributionGraph, TraceSettings
from engine.domain.jobs import Report, quiet
from engine.models import threads
from engine.models.replacement import Replacement
from tests.attribution.parts import key, load, random_transcoders

ARRAYS = ("kind", "layer", "position", "index", "activation", "source", "target", "weight")


@pytest.fixture(scope="module")
def replacement(tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load("llama", tmp_path_factory.mktemp("llama"))
    return Replacement(loaded, random_transcoders(loaded))


@pytest.fixture(autouse=True)
def _in_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middle, "_WORTH", 0)
    monkeypatch.setattr(batches, "_AT_LEAST", 3)
    monkeypatch.setattr(batches, "_TOGETHER", {"cpu": 1})


class Traces:
    """Each tells in which threads rows went down."""

    def __init__(self, replacement: Replacement, monkeypatch: pytest.MonkeyPatch) -> None:
        self._replacement, self._monkeypatch = replacement, monkeypatch
        self.threads = set[int]()
        down = Effects._down

        def watched(effects: Effects, *args: Any, **named: Any) -> Any:
            self.threads.add(threading.get_ident())
            return down(effects, *args, **named)

        monkeypatch.setattr(Effects, "_down", watched)

    def with_cores(self, n: int, most: int | None = None, report: Report = quiet) -> AttributionGraph:
        self._monkeypatch.setattr(threads, "_cores", lambda: n)
        self.threads.clear()
        return trace_graph(self._replacement, key=key(settings=TraceSettings(max_feature_nodes=most)), report=report)


@pytest.fixture
def traces(replacement: Replacement, monkeypatch: pytest.MonkeyPatch) -> Traces:
    return Traces(replacement, monkeypatch)


@pytest.mark.parametrize("most", [None, 30])
def test_bits_are_the_same_with_any_number_of_cores(traces: Traces, most: int | None) -> None:
    one = traces.with_cores(1, most)
    for n in (2, 5):
        several = traces.with_cores(n, most)
        assert all(np.array_equal(getattr(one, name), getattr(several, name)) for name in ARRAYS)
    assert one.n_edges > 100


def test_rows_go_down_in_other_threads_where_that_pays(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    traces.with_cores(4)
    assert threading.get_ident() not in traces.threads
    monkeypatch.setattr(middle, "_WORTH", 1e18)
    traces.with_cores(4)
    assert traces.threads == {threading.get_ident()}


@pytest.mark.parametrize("most", [None, 30])
def test_it_is_stopped_between_two_parts(traces: Traces, most: int | None) -> None:
    told = []

    def stop(share: float, message: str) -> None:
        told.append(share)
        if share > 0.3:
            raise Canceled

    with pytest.raises(Canceled):
        traces.with_cores(2, most, stop)
    assert 0.3 < told[-1] < 1
    assert traces.with_cores(2, most).n_edges > 100
