"""The diff on a pair worked by hand, and what must hold for every pair."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.diff import diff_everything, diff_graphs
from engine.analysis.pruning import contributions, flow
from engine.domain.diffs import DiffSettings
from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import AttributionGraph, PruneSettings
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph

MIRROR = {
    "appeared": "vanished",
    "vanished": "appeared",
    "strengthened": "weakened",
    "weakened": "strengthened",
    "flipped": "flipped",
    "unchanged": "unchanged",
}
X_OLD, X_KEPT, F3, F4 = "feature/0/1/5", "feature/0/1/7", "feature/1/1/3", "feature/1/1/4"
TOKEN, YES, NO = "token/-1/1/2", "logit/2/1/20", "logit/2/1/21"


def edge(table: pd.DataFrame, source: str, target: str) -> pd.Series:
    found = table[(table["source"] == source) & (table["target"] == target)]
    assert len(found) == 1
    return found.iloc[0]


def test_edges_of_the_micro_pair():
    edges = diff_graphs(micro_a(), micro_b()).edges
    expected = {
        (TOKEN, X_OLD): ("vanished", -0.421875),
        (X_OLD, F3): ("vanished", -0.421875),
        (F3, YES): ("weakened", 0.125 - 0.5625),
        (F4, NO): ("strengthened", 0.25),
        ("error/1/1/0", NO): ("strengthened", 0.25),
        (X_KEPT, F3): ("flipped", 0.140625 + 0.03125),
        (X_KEPT, F4): ("strengthened", 0.09375),
        ("error/0/1/0", F4): ("strengthened", 0.09375),
        (F4, YES): ("weakened", 0.125 - 0.1875),
        (TOKEN, X_KEPT): ("unchanged", 0.28125 - 0.296875),
    }
    found = {(row.source, row.target): (row.status, pytest.approx(row.change)) for row in edges.itertuples()}
    assert found == expected
    assert edges["change"].abs().is_monotonic_decreasing


def test_a_pruned_away_edge_is_not_zero():
    edges = diff_graphs(micro_a(), micro_b()).edges
    row = edge(edges, F3, YES)
    assert not row.kept_b
    assert (row.weight_b, row.share_b, row.contribution_b) == (1.0, 0.5, 0.125)
    gone = edge(edges, X_OLD, F3)
    assert (gone.weight_b, gone.share_b, gone.contribution_b) == (0, 0, 0)


def test_nodes_of_the_micro_pair():
    nodes = diff_graphs(micro_a(), micro_b()).nodes.set_index("id")
    assert nodes.loc[X_OLD, "status"] == "vanished"
    assert nodes.loc[F3, ["a", "b", "status", "kept_b"]].tolist() == [0.5625, 0.125, "weakened", False]
    assert nodes.loc[X_KEPT, "status"] == "unchanged"
    assert nodes.loc[YES, ["a", "b", "token", "status"]].tolist() == [0.75, 0.25, "yes", "weakened"]
    assert nodes.loc[TOKEN, "token"] == "x"
    assert "feature/0/1/9" not in nodes.index  # kept by neither side


def test_summary_of_the_micro_pair():
    summary = diff_graphs(micro_a(), micro_b()).summary
    assert summary.node_jaccard == pytest.approx(6 / 10)
    assert summary.edge_jaccard == pytest.approx(4 / 10)
    assert summary.edge_similarity == pytest.approx(3.75 / 6.5)
    assert summary.edges == {
        "appeared": 0,
        "vanished": 2,
        "strengthened": 4,
        "weakened": 2,
        "flipped": 1,
        "unchanged": 1,
    }


def test_everything_adds_what_neither_side_keeps():
    full = diff_everything(micro_a(), micro_b())
    assert len(full.nodes) == 13
    assert len(full.edges) == 12
    assert edge(full.edges, TOKEN, "feature/0/1/9").status == "appeared"


@pytest.mark.parametrize("seed", range(6))
def test_status_does_not_depend_on_pruning(seed):
    a, b = random_graph(seed), random_graph(seed + 50)
    strict = diff_graphs(a, b, DiffSettings(prune=PruneSettings(node_threshold=0.4, edge_threshold=0.6))).edges
    full = diff_everything(a, b).edges
    joined = strict.merge(full, on=["source", "target"], suffixes=("", "_full"))
    assert len(joined) == len(strict) < len(full)
    assert (joined["status"] == joined["status_full"]).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_graph_against_itself_is_unchanged(seed):
    graph = random_graph(seed)
    diff = diff_graphs(graph, graph)
    assert set(diff.nodes["status"]) == set(diff.edges["status"]) == {"unchanged"}
    assert (diff.summary.node_jaccard, diff.summary.edge_jaccard, diff.summary.edge_similarity) == (1, 1, 1)
    assert (diff.edges["change"] == 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_swapping_sides_mirrors(seed):
    a, b = random_graph(seed), random_graph(seed + 100)
    one, other = diff_graphs(a, b), diff_graphs(b, a)
    for name, at in (("nodes", ["id"]), ("edges", ["source", "target"])):
        x = getattr(one, name).set_index(at).sort_index()
        y = getattr(other, name).set_index(at).sort_index()
        assert (x.index == y.index).all()
        assert (x["status"].map(MIRROR) == y["status"]).all()
        assert (x["kept_a"] == y["kept_b"]).all()
        if name == "edges":
            np.testing.assert_array_equal(x["change"], -y["change"])
            assert {"appeared", "vanished"} <= set(x["status"])
    assert one.summary.node_jaccard == other.summary.node_jaccard
    assert one.summary.edge_similarity == pytest.approx(other.summary.edge_similarity)


@pytest.mark.parametrize("seed", range(4))
def test_values_are_those_of_the_full_graphs(seed):
    """Against a dictionary per side, edge by edge."""
    a, b = random_graph(seed), random_graph(seed + 7)
    table = diff_graphs(a, b).edges
    for name, graph in (("a", a), ("b", b)):
        ids = graph.node_ids()
        rows = zip(graph.source, graph.target, graph.weight, flow(graph).share, contributions(graph), strict=True)
        known = {(ids[s], ids[t]): values for s, t, *values in rows}
        for row in table.itertuples():
            weight, share, part = known.get((row.source, row.target), (0, 0, 0))
            assert getattr(row, f"weight_{name}") == weight
            assert getattr(row, f"share_{name}") == pytest.approx(share)
            assert getattr(row, f"contribution_{name}") == pytest.approx(part)


def test_smallest_change_is_a_setting():
    changed = [
        sum(diff_graphs(micro_a(), micro_b(), DiffSettings(min_change=limit)).edges["status"] != "unchanged")
        for limit in (0.0, 0.1, 0.3, 1.0)
    ]
    assert changed == [9, 6, 3, 0]


def test_row_order_of_a_graph_does_not_matter():
    a, b = micro_a(), micro_b()
    order = np.random.default_rng(1).permutation(b.n_edges)
    shuffled = replace(b, source=b.source[order], target=b.target[order], weight=b.weight[order])
    pd.testing.assert_frame_equal(diff_graphs(a, b).edges, diff_graphs(a, shuffled).edges)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_ids": np.array([1, 9])}, "same tokens"),
        ({"token_ids": np.array([1, 2, 3]), "tokens": ("<bos>", "x", "y")}, "3"),
        ({"n_layers": 3}, "layers"),
        ({"index": np.where(micro_b().index == 21, 22, micro_b().index)}, "target tokens"),
        ({"key": micro_b().key.model_copy(update={"transcoders_hash": "other"})}, "transcoders"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, message):
    with pytest.raises(ComparisonRefused, match=message):
        diff_graphs(micro_a(), replace(micro_b(), **changes))


def test_graphs_without_edges():
    empty = random_graph(0, density=0)
    diff = diff_graphs(empty, empty)
    assert len(diff.edges) == 0
    assert (diff.summary.edge_jaccard, diff.summary.edge_similarity) == (1, 1)
    one_sided: AttributionGraph = random_graph(0)
    assert set(diff_graphs(empty, one_sided).edges["status"]) <= {"appeared", "unchanged"}
