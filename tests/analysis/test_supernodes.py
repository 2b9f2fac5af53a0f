"""Groups of features as one node: the micro pair merged by hand, and what must hold for any."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.aggregate import aggregate
from engine.analysis.diff import diff_everything, diff_graphs, signed_contribution
from engine.analysis.supernodes import merge_supernodes
from engine.domain.annotations import Annotations, Supernode
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import ComparisonRefused
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph
from engine.figures.graph_view import pair_view
from tests.analysis.micro_graphs import key, micro_a, micro_b, probe, random_graph

HASH = "abc123"
TOKEN, YES, NO = "token/-1/1/2", "logit/2/1/20", "logit/2/1/21"


def groups(*named: tuple[str, tuple[str, ...]]) -> Annotations:
    return Annotations(
        transcoders_hash=HASH, supernodes=tuple(Supernode(name=name, features=features) for name, features in named)
    )


def names_of(features: pd.DataFrame) -> tuple[str, ...]:
    return tuple(dict.fromkeys((features["layer"].astype(str) + "/" + features["index"].astype(str)).tolist()))


def of_set(graph: AttributionGraph) -> AttributionGraph:
    """The same graph, traced with the set whose hash is HASH."""
    return replace(graph, key=key(graph.key.checkpoint).model_copy(update={"transcoders_hash": HASH}))


def micro() -> GraphDiff:
    return diff_graphs(of_set(micro_a()), of_set(micro_b()), DiffSettings(explained=ExplainedLogits(answers=(20,))))


def test_no_groups_is_the_identity():
    diff = micro()
    assert merge_supernodes(diff, Annotations(transcoders_hash=HASH)) is diff
    assert merge_supernodes(diff, groups(("elsewhere", ("0/99", "1/98")))) is diff


def test_a_group_within_a_layer_by_hand():
    """Features 3 and 4 of layer 1: influence .5625 + .3125 in A, .125 + .625 in B."""
    diff = micro()
    both = "supernode/1/1/said “yes” / no"
    merged = merge_supernodes(diff, groups(("said “yes” / no", ("1/3", "1/4"))))
    node = merged.nodes.set_index("id").loc[both]
    assert (node["kind"], node["layer"], node["position"], node["token"]) == ("supernode", 1, 1, "x")
    before = diff.nodes.set_index("id").loc[["feature/1/1/3", "feature/1/1/4"]]
    assert (node["a"], node["b"]) == (before["a"].sum(), before["b"].sum()) == (0.875, before["b"].sum())
    assert (node["part_a"], node["part_b"]) == (3 - 1, 1 - 1)
    assert node["status"] == "unchanged"  # both are as active in B as in A
    assert node["activation_a"] == 3.0
    assert node["kept_a"]
    assert node["kept_b"]
    assert len(merged.nodes) == len(diff.nodes) - 1

    edges = merged.edges.set_index(["source", "target"])
    # feature 7 → 3 is −.140625 in A (share −.25) and .03125 in B; → 4 is .15625 and .25; flows −2, 2/3 and −2/3, −2/3
    row = edges.loc[("feature/0/1/7", both)]
    assert row["contribution_a"] == pytest.approx(-0.140625 + 0.15625)
    assert row["contribution_b"] == pytest.approx(0.03125 + 0.25)
    assert row["weight_a"] == -1 + 1
    assert row["share_a"] == pytest.approx(0.015625 / 0.875)
    assert (row["flow_a"], row["flow_b"]) == (pytest.approx(-8 / 3), pytest.approx(0))
    # of what is compared: −1 · 4/3 − 2/3 in A and 4/3 − 2/3 in B
    assert (row["compared_a"], row["compared_b"]) == (pytest.approx(-2), pytest.approx(2 / 3))
    assert (row["change"], row["status"]) == (pytest.approx(8 / 3), "flipped")
    # into “yes”: .5625 − .1875 in A, .125 − .125 in B; flows 3 − 1, 1 − 1
    row = edges.loc[(both, YES)]
    assert (row["contribution_a"], row["contribution_b"]) == (pytest.approx(0.375), 0)
    assert row["share_a"] == pytest.approx(0.5)
    assert (row["flow_a"], row["flow_b"]) == (2, 0)
    assert (row["change"], row["status"]) == (-2, "weakened")
    # untouched
    pd.testing.assert_series_equal(
        edges.loc[(TOKEN, "feature/0/1/7")], diff.edges.set_index(["source", "target"]).loc[(TOKEN, "feature/0/1/7")]
    )


def test_a_group_across_layers_loses_its_inner_edges():
    diff = micro()
    merged = merge_supernodes(diff, groups(("path", ("0/5", "0/7", "1/3"))))
    path = "supernode/0/1/path"  # the mean layer, 1/3, rounded
    assert path in set(merged.nodes["id"])
    pairs = set(zip(merged.edges["source"], merged.edges["target"], strict=True))
    assert (path, path) not in pairs
    assert {(TOKEN, path), (path, YES), (path, "feature/1/1/4")} <= pairs
    into = merged.edges.set_index(["source", "target"]).loc[(TOKEN, path)]
    assert into["contribution_a"] == pytest.approx(0.421875 + 0.296875)


def test_each_position_has_its_own_node():
    graph = of_set(random_graph(3))
    diff = diff_everything(graph, graph)
    features = diff.nodes[diff.nodes["kind"] == "feature"]
    merged = merge_supernodes(diff, groups(("all", names_of(features))))
    nodes = merged.nodes[merged.nodes["kind"] == "supernode"]
    assert sorted(nodes["position"]) == sorted(features["position"].unique())
    assert not (merged.nodes["kind"] == "feature").any()
    assert set(merged.edges["status"]) == set(merged.nodes["status"]) == {"unchanged"}


@pytest.mark.parametrize("seed", range(6))
def test_signed_sums_between_the_rest_and_a_group_are_kept(seed):
    diff = diff_graphs(of_set(random_graph(seed)), of_set(random_graph(seed + 20)))
    features = diff.nodes[diff.nodes["kind"] == "feature"]
    names = names_of(features.iloc[:: 1 + seed % 3])
    merged = merge_supernodes(diff, groups(("some", names)))
    inside = {
        node
        for node, kind, layer, index in zip(*(diff.nodes[c] for c in ("id", "kind", "layer", "index")), strict=True)
        if kind == "feature" and f"{layer}/{index}" in names
    }
    assert not inside & (set(merged.nodes["id"]) | set(merged.edges["source"]) | set(merged.edges["target"]))
    for side in "ab":
        for end, other in (("source", "target"), ("target", "source")):
            old = diff.edges.assign(signed=signed_contribution(diff.edges, side))
            new = merged.edges.assign(signed=signed_contribution(merged.edges, side))
            old = old[old[end].isin(inside) & ~old[other].isin(inside)]
            new = new[new[end].str.startswith("supernode/") & ~new[other].str.startswith("supernode/")]
            np.testing.assert_allclose(
                old.groupby(other)["signed"].sum().sort_index(),
                new.groupby(other)["signed"].sum().sort_index(),
                atol=1e-12,
            )
        assert merged.nodes[side].sum() == pytest.approx(diff.nodes[side].sum())
    assert set(merged.edges["source"]) | set(merged.edges["target"]) <= set(merged.nodes["id"])
    kept = merged.edges[merged.edges["kept_a"]]
    nodes = merged.nodes.set_index("id")
    assert nodes.loc[kept["source"], "kept_a"].all()


def test_a_feature_belongs_to_its_first_group_and_equal_names_are_one():
    merged = merge_supernodes(micro(), groups(("one", ("1/3",)), ("two", ("1/3", "1/4")), ("one", ("0/7",))))
    found = set(merged.nodes.loc[merged.nodes["kind"] == "supernode", "id"])
    assert found == {"supernode/0/1/one", "supernode/1/1/two"}  # layers 1 and 0: the mean .5 is rounded to even


def test_groups_in_a_mean_circuit():
    own = probe().model_copy(update={"template": "x"})
    mean = aggregate([(own, micro())])
    merged = merge_supernodes(mean, groups(("both", ("1/3", "1/4"))))
    assert not merged.nodes.isna().any(axis=None)
    assert not merged.edges.isna().any(axis=None)
    assert list(merged.edges.columns) == list(mean.edges.columns)
    assert merged.nodes.set_index("id").loc["supernode/1/1/both", ["token", "n"]].tolist() == ["x", 1]


def test_groups_of_other_transcoders_are_refused():
    diff = diff_graphs(micro_a(), micro_b())
    with pytest.raises(ComparisonRefused, match="transcoder"):
        merge_supernodes(diff, groups(("one", ("1/3",))))


def test_the_component_shows_the_name():
    merged = merge_supernodes(micro(), groups(("<b>a/b</b>", ("1/3", "1/4"))))
    (node,) = (node for node in pair_view(merged).nodes if node["kind"] == "supernode")
    assert node["label"] == "<b>a/b</b>"
