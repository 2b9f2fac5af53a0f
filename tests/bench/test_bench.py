"""Rows and their arithmetic. Nothing here asserts a time."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.attribution.trace import graph_of
from engine.bench import MEASURES, BenchRow, large_graph, measure
from engine.bench.row import at_most, faster, not_slower
from engine.bench.timing import medians
from engine.bench.tracing import largest_difference
from engine.cli.app import app
from engine.domain.errors import NotFound
from engine.domain.graphs import AttributionGraph, Fit, GraphKey, NodeKind

FIELDS = {"name", "value", "unit", "reference", "ratio", "target", "met"}


def test_faster_is_how_many_times() -> None:
    row = faster("x", 2.0, "ms", than=100.0, times=50)
    assert (row.reference, row.ratio, row.target, row.met) == (100.0, 50.0, "≥ 50×", True)
    assert not faster("x", 2.0, "ms", than=99.0, times=50).met


def test_not_slower_is_a_share_of_the_other() -> None:
    row = not_slower("x", 2.6, "s", than=2.0, times=1.3)
    assert (row.ratio, row.target, row.met) == (1.3, "≤ 1.3×", True)
    assert not not_slower("x", 2.7, "s", than=2.0, times=1.3).met


def test_at_most_is_a_limit() -> None:
    assert at_most("x", 3.0, "s", limit=3).met
    assert not at_most("x", 3.1, "s", limit=3).met
    assert at_most("x", 3.1, "s", limit=3).ratio is None


def test_both_sides_are_timed_in_turns_after_the_warm_up() -> None:
    calls: list[str] = []
    taken = medians((lambda: calls.append("a"), lambda: calls.append("b")), rounds=3)
    assert calls == ["a", "b"] * 4
    assert len(taken) == 2
    assert all(seconds >= 0 for seconds in taken)


def graph(features: list[tuple[int, int, int]], edges: list[tuple[int, int, float]]) -> AttributionGraph:
    """Features, one token, one logit (token id 7)."""
    n = len(features)
    source, target, weight = (np.array(column) for column in zip(*edges, strict=True))
    return AttributionGraph(
        key=GraphKey(checkpoint="r@base", checkpoint_hash="", prompt="p", transcoders="t", transcoders_hash=""),
        kind=np.array([NodeKind.FEATURE] * n + [NodeKind.TOKEN, NodeKind.LOGIT], np.uint8),
        layer=np.array([f[0] for f in features] + [-1, 2], np.int32),
        position=np.array([f[1] for f in features] + [0, 0], np.int32),
        index=np.array([f[2] for f in features] + [5, 7], np.int64),
        activation=np.zeros(n + 2, np.float32),
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        weight=weight.astype(np.float32),
        n_layers=2,
        tokens=("x",),
        token_ids=np.array([5]),
        target_tokens=("y",),
        target_probability=np.array([1.0], np.float32),
        target_logit=np.array([1.0], np.float32),
        fit=Fit(replacement=1, completeness=1, error_share=0),
    )


class TestLargestDifference:
    """Two features, written in another order on the other side; rows of the dense matrix are targets."""

    ours = graph([(0, 0, 11), (1, 0, 3)], [(2, 0, 4.0), (0, 1, -2.0), (1, 3, 8.0)])
    features = np.array([(1, 0, 3), (0, 0, 11)])
    logits = np.array([7])

    def dense(self) -> np.ndarray:
        matrix = np.zeros((4, 4), np.float32)
        matrix[1, 2], matrix[0, 1], matrix[3, 0] = 4.0, -2.0, 8.0
        return matrix

    def test_equal_graphs_are_not_apart(self) -> None:
        assert largest_difference(self.ours, self.dense(), self.features, self.logits) == 0.0

    def test_it_is_relative_to_the_largest_weight(self) -> None:
        dense = self.dense()
        dense[0, 1] = -1.0
        assert largest_difference(self.ours, dense, self.features, self.logits) == 1 / 8

    def test_other_nodes_are_another_graph(self) -> None:
        other = np.array([(1, 0, 4), (0, 0, 11)])
        assert largest_difference(self.ours, self.dense(), other, self.logits) == float("inf")
        assert largest_difference(self.ours, self.dense(), self.features, np.array([8])) == float("inf")
        assert largest_difference(self.ours, np.zeros((3, 3)), self.features, self.logits) == float("inf")


def test_the_large_graph_is_one_that_could_have_been_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many edges as are said, all of them upward and never back in position; most features are in both."""
    for name, value in {"N_LAYERS": 5, "N_POS": 4, "N_FEATURES": 300, "N_SHARED": 200, "N_EDGES": 9_000}.items():
        monkeypatch.setattr(large_graph, name, value)
    tokenizer = SimpleNamespace(decode=str, convert_ids_to_tokens=str)
    key = GraphKey(checkpoint="r@base", checkpoint_hash="", prompt="p", transcoders="t", transcoders_hash="")
    made = [graph_of(large_graph._dense(checkpoint)(), key, tokenizer) for checkpoint in (0, 1)]  # type: ignore[arg-type]
    for graph in made:
        assert graph.n_edges == pytest.approx(9_000, rel=0.05)
        assert (graph.layer[graph.source] < graph.layer[graph.target]).all()
        assert (graph.position[graph.source] <= graph.position[graph.target]).all()
    a, b = ({name for name in graph.node_ids() if name.startswith("feature/")} for graph in made)
    assert (len(a), len(b), len(a & b)) == (300, 300, 200)


def test_an_unknown_measure_lists_those_there_are() -> None:
    with pytest.raises(NotFound, match="swap"):
        measure(("nothing",), lambda *_: None)


def test_the_command_writes_rows_and_strict_decides_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [at_most("quick", 1.0, "s", limit=2), at_most("slow", 3.0, "s", limit=2)]
    monkeypatch.setitem(MEASURES, "swap", lambda _setting: rows)
    told = CliRunner().invoke(app, ["bench", "--only", "swap", "--json", "-"])
    assert told.exit_code == 0
    assert [BenchRow.model_validate(row) for row in json.loads(told.stdout)] == rows
    assert "Not met: slow." in CliRunner().invoke(app, ["bench", "--only", "swap"]).stdout
    strict = CliRunner().invoke(app, ["bench", "--only", "swap", "--strict"])
    assert strict.exit_code == 2
    assert "slow" in strict.stderr


def test_a_measure_that_fails_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_setting: object) -> list[BenchRow]:
        raise RuntimeError("no browser")

    row = at_most("quick", 1.0, "s", limit=2)
    monkeypatch.setitem(MEASURES, "swap", broken)
    monkeypatch.setitem(MEASURES, "trace", lambda _setting: [row])
    told = CliRunner().invoke(app, ["bench", "--only", "swap", "--only", "trace", "--json", "-"])
    assert told.exit_code == 2
    assert [BenchRow.model_validate(found) for found in json.loads(told.stdout)] == [row]
    assert told.stderr == "Error: Could not be measured: swap: no browser\n"


@pytest.mark.filterwarnings("ignore")  # circuit-tracer's other backend warns on import; its warnings are not ours
def test_a_real_measure_gives_whole_rows() -> None:
    rows: list[Any] = [row.model_dump() for row in measure(("swap",), lambda *_: None).rows]
    assert rows
    for row in rows:
        assert set(row) == FIELDS
        assert row["value"] > 0
        assert isinstance(row["met"], bool)
    compared = [row for row in rows if row["reference"] is not None]
    assert [row["name"] for row in compared] == [
        "swap a checkpoint",
        "open a checkpoint from its files",
        "trace a further checkpoint, opening it included",
    ]
    assert compared[0]["ratio"] == pytest.approx(compared[0]["reference"] / compared[0]["value"])
