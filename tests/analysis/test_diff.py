"""The diff on a pair worked by hand, and what must hold for every pair."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.diff import diff_everything, diff_graphs
from engine.analysis.pairs import features_of
from engine.analysis.pruning import contributions, flow
from engine.analysis.scale import common_scale
from engine.domain.diffs import DiffSettings
from engine.domain.errors import ComparisonRefused
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, FeatureGradients, NodeKind, PruneSettings
from tests.analysis.micro_graphs import graph_of, micro_a, micro_b, random_graph

MIRROR = {
    "appeared": "vanished",
    "vanished": "appeared",
    "strengthened": "weakened",
    "weakened": "strengthened",
    "flipped": "flipped",
    "unchanged": "unchanged",
    "not kept": "not kept",
}
X_OLD, X_KEPT, F3, F4 = "feature/0/1/5", "feature/0/1/7", "feature/1/1/3", "feature/1/1/4"
TOKEN, YES, NO = "token/-1/1/2", "logit/2/1/20", "logit/2/1/21"
OF_YES = DiffSettings(explained=ExplainedLogits(answers=(20,)))
OF_FIRST = DiffSettings(explained=ExplainedLogits(answers=(200,)))  # of random graphs


def edge(table: pd.DataFrame, source: str, target: str) -> pd.Series:
    found = table[(table["source"] == source) & (table["target"] == target)]
    assert len(found) == 1
    return found.iloc[0]


def test_edges_of_the_micro_pair():
    """Every activation is 1.5, so that a unit of a feature is two thirds of its part."""
    edges = diff_graphs(micro_a(), micro_b(), OF_YES).edges
    expected = {  # flow in A and in B, and the change by the mean of what a unit at the target is in both
        (TOKEN, X_OLD): ("vanished", 2 * 4, 0, -2 * 4),
        (X_OLD, F3): ("vanished", 3 * 2, 0, -3 * (2 + 2 / 3) / 2),
        (F3, YES): ("weakened", 3, 1, -2),
        (F4, NO): ("unchanged", 0, 0, 0),  # another output
        ("error/1/1/0", NO): ("unchanged", 0, 0, 0),
        (X_KEPT, F3): ("flipped", -1 * 2, 1 * 2 / 3, 2 * (2 + 2 / 3) / 2),
        (X_KEPT, F4): ("unchanged", -2 / 3, -2 / 3, 0),
        ("error/0/1/0", F4): ("unchanged", -2 / 3, -2 / 3, 0),
        (F4, YES): ("unchanged", -1, -1, 0),  # what it writes is the same: only its share of the probability was not
        (TOKEN, X_KEPT): ("unchanged", -16 / 9, 0, 0),  # its weight is 1 in both: what came after has changed
    }
    found = {(row.source, row.target): (row.status, row.flow_a, row.flow_b, row.change) for row in edges.itertuples()}
    assert found == {
        ends: (status, *(pytest.approx(value) for value in values)) for ends, (status, *values) in expected.items()
    }
    assert edges["change"].abs().is_monotonic_decreasing


def test_what_is_explained_of_the_micro_pair():
    """Into “yes” run 3, −1 and a constant of 1 in A; 1, −1 and 3 in B."""
    change = diff_graphs(micro_a(), micro_b(), OF_YES).explained
    assert (change.words, change.a, change.b, change.scale) == ("yes", 3, 3, 1)
    assert change.moved == pytest.approx(2 + 0 + 2)
    assert change.limit == pytest.approx(0.01 * 4)
    said = diff_graphs(micro_a(), micro_b()).explained  # what B finds most probable
    assert (said.words, said.a, said.b) == ("no", 1, 1)
    contrast = DiffSettings(explained=ExplainedLogits(answers=(20,), against=(21,)))
    both = diff_graphs(micro_a(), micro_b(), contrast)
    assert (both.explained.words, both.explained.a) == ("yes − no", 2)
    assert edge(both.edges, F4, YES).flow_a == -1
    assert edge(both.edges, F4, NO).flow_a == -1
    assert edge(both.edges, "error/0/1/0", F4).flow_a == pytest.approx(-2 / 3 - 2 / 3)
    with pytest.raises(ComparisonRefused, match=r"not traced to token 7\. It has yes, no"):
        diff_graphs(micro_a(), micro_b(), DiffSettings(explained=ExplainedLogits(answers=(7,))))


@pytest.mark.parametrize("factor", [0.4, 1.3])
@pytest.mark.parametrize("seed", range(3))
def test_a_scaled_output_changes_no_circuit(seed, factor):
    """All that enters the outputs is multiplied, as by a scaled output matrix; their probabilities move."""
    graph = random_graph(seed)
    into = graph.kind[graph.target] == NodeKind.LOGIT
    scaled = replace(
        graph,
        weight=np.where(into, factor * graph.weight, graph.weight).astype(np.float32),
        target_logit=(factor * graph.target_logit).astype(np.float32),
        target_probability=graph.target_probability[::-1].copy(),
    )
    diff = diff_everything(graph, scaled)
    assert diff.explained.scale == pytest.approx(factor)
    assert set(diff.nodes["status"]) == set(diff.edges["status"]) == {"unchanged"}
    back = diff_everything(scaled, graph)
    assert back.explained.scale == pytest.approx(1 / factor)


def test_growth_of_one_path_is_no_common_scale():
    """Nine tenths of what enters doubles: that is the scale. Of four tenths that double it is a change of these."""
    a = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    assert common_scale(a, np.where(np.arange(10) < 9, 2 * a, a)) == pytest.approx(2)
    assert common_scale(a, np.where(np.arange(10) < 4, 2 * a, a)) == pytest.approx(1)
    assert common_scale(a, -a) == 1
    assert common_scale(a, np.linspace(1, 9, 10)) == 1


def test_an_edge_that_was_cut_is_told_from_one_that_does_not_exist():
    a, b = random_graph(1), random_graph(1)
    rest = np.arange(a.n_edges) % 3 != 0
    cut = replace(a, source=a.source[rest], target=a.target[rest], weight=a.weight[rest], is_whole=False)
    edges = diff_everything(cut, b, OF_FIRST).edges
    gone = edges["weight_a"] == 0
    assert gone.sum() == (~rest).sum()
    assert set(edges["status"][gone]) == {"not kept"}
    assert (edges["change"][gone] == 0).all()
    known = diff_everything(replace(cut, is_whole=True), b, OF_FIRST).edges
    assert "not kept" not in set(known["status"])
    # A node that is not there has no edges, cut or not.
    other = replace(b, index=np.where(b.kind == NodeKind.FEATURE, b.index + 1000, b.index))
    edges = diff_everything(cut, other, OF_FIRST).edges
    at_features = edges["source"].str.startswith("feature") | edges["target"].str.startswith("feature")
    assert "not kept" not in set(edges["status"][at_features])


def test_a_pruned_away_edge_is_not_zero():
    edges = diff_graphs(micro_a(), micro_b(), OF_YES).edges
    row = edge(edges, F3, YES)
    assert not row.kept_b
    assert (row.weight_b, row.share_b, row.contribution_b, row.flow_b) == (1.0, 0.5, 0.125, 1.0)
    gone = edge(edges, X_OLD, F3)
    assert (gone.weight_b, gone.share_b, gone.contribution_b) == (0, 0, 0)


def test_nodes_of_the_micro_pair():
    nodes = diff_graphs(micro_a(), micro_b(), OF_YES).nodes.set_index("id")
    assert nodes.loc[X_OLD, ["part_a", "part_b", "status"]].tolist() == [pytest.approx(6), 0, "vanished"]
    assert nodes.loc[F3, ["part_a", "part_b", "status"]].tolist() == [3, 1, "unchanged"]  # as active in B as in A
    assert nodes.loc[F3, ["a", "b", "kept_b"]].tolist() == [0.5625, 0.125, False]
    assert nodes.loc[TOKEN, "status"] == "weakened"
    assert nodes.loc[X_OLD, ["compared_a", "compared_b"]].tolist() == [pytest.approx(1.5 * 4), 0]
    assert nodes.loc[X_KEPT, ["part_a", "part_b"]].tolist() == [pytest.approx(-8 / 3), pytest.approx(0)]
    assert nodes.loc[YES, ["a", "b", "part_a", "part_b"]].tolist() == [0.75, 0.25, 3, 3]
    assert nodes.loc[YES, ["token", "status"]].tolist() == ["yes", "unchanged"]
    assert nodes.loc[TOKEN, ["token", "part_a"]].tolist() == ["x", pytest.approx(8 - 16 / 9)]
    assert "feature/0/1/9" not in nodes.index  # kept by neither side


def test_summary_of_the_micro_pair():
    summary = diff_graphs(micro_a(), micro_b(), OF_YES).summary
    assert summary.node_jaccard == pytest.approx(6 / 10)
    assert summary.edge_jaccard == pytest.approx(4 / 10)
    assert summary.edge_similarity == pytest.approx(3.75 / 6.5)
    assert summary.edges == {
        "appeared": 0,
        "vanished": 2,
        "strengthened": 0,
        "weakened": 1,
        "flipped": 1,
        "unchanged": 6,
        "not kept": 0,
    }


def test_everything_adds_what_neither_side_keeps():
    full = diff_everything(micro_a(), micro_b(), OF_YES)
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
    one, other = diff_graphs(a, b, OF_FIRST), diff_graphs(b, a, OF_FIRST)
    for name, at in (("nodes", ["id"]), ("edges", ["source", "target"])):
        x = getattr(one, name).set_index(at).sort_index()
        y = getattr(other, name).set_index(at).sort_index()
        assert (x.index == y.index).all()
        assert (x["status"].map(MIRROR) == y["status"]).all()
        assert (x["kept_a"] == y["kept_b"]).all()
        if name == "edges":
            np.testing.assert_array_equal(x["change"], -y["change"])
            assert {"appeared", "vanished"} & set(x["status"])
    assert one.summary.node_jaccard == other.summary.node_jaccard
    assert one.summary.edge_similarity == pytest.approx(other.summary.edge_similarity)


def with_gradients(a, b, seed):
    """Both graphs with gradients of their own at the features of both, at random."""
    rng, features = np.random.default_rng(seed), features_of(a, b)
    shape = (len(a.target_tokens), len(features))
    return [
        replace(graph, gradients=FeatureGradients(features, rng.normal(size=shape).astype(np.float32)))
        for graph in (a, b)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_with_gradients_a_change_counts_by_what_it_does_in_b(seed):
    """Node by node and edge by edge: the change of the graph's own value times B's gradient at it, which A's is not."""
    a, b = with_gradients(random_graph(seed), random_graph(seed + 100), seed)
    diff = diff_everything(a, b, OF_FIRST)
    assert not diff.explained.is_estimated
    assert diff.explained.scale == 1
    row = int(np.flatnonzero(b.index[b.kind == NodeKind.LOGIT] == 200)[0])
    ids = [f"feature/{layer}/{position}/{index}" for layer, position, index in b.gradients.features]
    per_unit = dict(zip(ids, b.gradients.per_unit[row], strict=True)) | {"logit/2/3/200": 1.0}
    rows = diff.nodes[diff.nodes["kind"] == "feature"]
    for side in "ab":
        wanted = rows[f"activation_{side}"] * rows["id"].map(per_unit)
        np.testing.assert_allclose(rows[f"compared_{side}"], wanted, rtol=1e-6)
        into = diff.edges[diff.edges["target"].str.startswith("feature")]
        np.testing.assert_allclose(
            into[f"compared_{side}"], into[f"weight_{side}"] * into["target"].map(per_unit), rtol=1e-6
        )
    assert (diff.nodes["status"] == "vanished").any()  # also those that are silent in B have a gradient there
    estimated = diff_everything(*(replace(graph, gradients=None) for graph in (a, b)), settings=OF_FIRST)
    assert estimated.explained.is_estimated
    assert not np.allclose(estimated.edges["change"], diff.edges["change"])


@pytest.mark.parametrize("seed", range(8))
def test_turned_round_no_status_contradicts(seed):
    """What counts is decided in B, so other changes may count where A is B; what does both ways is mirrored."""
    a, b = with_gradients(random_graph(seed), random_graph(seed + 100), seed)
    one, other = diff_everything(a, b, OF_FIRST), diff_everything(b, a, OF_FIRST)
    x, y = (diff.edges.set_index(["source", "target"])["status"].sort_index() for diff in (one, other))
    counts = (x != "unchanged") & (y != "unchanged") & (x != "flipped") & (y != "flipped")
    assert counts.sum() > 10
    assert (x[counts].map(MIRROR) == y[counts]).all()


def test_gradients_that_miss_a_feature_are_not_used():
    """Graphs of two pairs: what a unit of the other's features does is not known of all."""
    a, b = with_gradients(random_graph(1), random_graph(2), 0)
    other = random_graph(3)
    assert not diff_graphs(a, b).explained.is_estimated
    assert "by B’s own gradient" in diff_graphs(a, b).explained.effect
    assert diff_graphs(other, b).explained.is_estimated
    assert "estimated from the graphs" in diff_graphs(other, b).explained.effect
    assert diff_graphs(a, replace(b, gradients=None)).explained.is_estimated


@pytest.mark.parametrize("factor", [0.4, 1.3])
def test_a_scaled_output_changes_no_circuit_by_gradients_either(factor):
    graph = with_gradients(random_graph(0), random_graph(0), 5)[0]
    into = graph.kind[graph.target] == NodeKind.LOGIT
    scaled = replace(
        graph,
        weight=np.where(into, factor * graph.weight, graph.weight).astype(np.float32),
        target_logit=(factor * graph.target_logit).astype(np.float32),
        gradients=replace(graph.gradients, per_unit=(factor * graph.gradients.per_unit).astype(np.float32)),
    )
    for diff in (diff_everything(graph, scaled), diff_everything(scaled, graph), diff_everything(graph, graph)):
        assert set(diff.nodes["status"]) == set(diff.edges["status"]) == {"unchanged"}
        assert not diff.explained.is_estimated


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
        sum(
            diff_graphs(micro_a(), micro_b(), OF_YES.model_copy(update={"min_change": share})).edges["status"]
            != "unchanged"
        )
        for share in (0.0, 0.45, 0.6, 1.0)  # of the 4 logits that moved
    ]
    assert changed == [4, 3, 2, 2]  # what flipped no longer counts where a side is below the limit


def test_what_is_spread_over_many_edges_still_counts():
    """200 edges move by 0.6 each: none of them is a hundredth of the 120 logits, and 100 others move by 0.3."""
    moved = [0.6, -0.6, 0.3] * 100
    a, b = _fan([1.0] * 300), _fan([1 + by for by in moved])
    edges = diff_graphs(a, b, OF_YES).edges
    into = edges[edges["target"] == "logit/1/1/20"]
    assert dict(into["status"].value_counts()) == {"strengthened": 100, "weakened": 100, "unchanged": 100}
    concentrated = [1.0, *[0.003, -0.003] * 9]
    one = diff_graphs(_fan([1.0] * 19), _fan([1 + by for by in concentrated]), OF_YES).explained
    assert one.limit == pytest.approx(0.01 * one.moved)


def _fan(weights: list[float]) -> AttributionGraph:
    """A token that all features read, and features that write to one output."""
    n = len(weights)
    nodes = [(NodeKind.FEATURE, 0, 1, index) for index in range(n)] + [
        (NodeKind.ERROR, 0, 0, 0), (NodeKind.ERROR, 0, 1, 0),
        (NodeKind.TOKEN, -1, 0, 1), (NodeKind.TOKEN, -1, 1, 2), (NodeKind.LOGIT, 1, 1, 20),
    ]  # fmt: skip
    edges = [(n + 3, row, 1.0) for row in range(n)] + [(row, n + 4, weight) for row, weight in enumerate(weights)]
    return graph_of(nodes, edges, tokens=("a", "b"), outputs=("yes",), probability=(0.9,), n_layers=1)


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
