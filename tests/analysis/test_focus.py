"""What carries most of the change: as much as was asked for, with few nodes, none of them left hanging in the air."""

import numpy as np
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.focus import drawn_sentence, focus
from engine.domain.diffs import GraphDiff, edge_effect
from engine.figures.graph_view import pair_view
from tests.analysis.micro_graphs import random_graph


def large(seed: int = 3) -> GraphDiff:
    sizes = {"n_features": 300, "pool": 90, "n_layers": 5}
    return diff_graphs(random_graph(seed, **sizes), random_graph(seed + 1, **sizes))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_what_is_between_the_nodes_makes_the_share_that_is_told(share: float) -> None:
    diff = large()
    found = focus(diff, share)
    effect = edge_effect(diff.edges).fillna(0).abs()
    between = diff.edges["source"].isin(found.nodes) & diff.edges["target"].isin(found.nodes)
    assert found.share == pytest.approx(effect[between].sum() / effect.sum())
    assert found.n_edges == between.sum()
    assert share <= found.share < share + 0.2


def test_more_is_asked_for_and_more_is_there() -> None:
    diff = large()
    sizes = [len(focus(diff, share).nodes) for share in (0.2, 0.5, 0.8, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.6 * len(diff.nodes)
    assert sizes[-1] == len(diff.nodes)


def test_each_node_is_led_on_and_back_where_the_whole_graph_does() -> None:
    diff = large()
    found = focus(diff, 0.3)
    edges = diff.edges[diff.edges["source"].isin(found.nodes) & diff.edges["target"].isin(found.nodes)]
    inner = {node for node in found.nodes if not node.startswith(("token", "logit"))}
    for end in ("source", "target"):
        assert inner & set(diff.edges[end]) <= set(edges[end])
    ends = diff.nodes["id"].str.startswith(("token", "logit"))
    assert set(diff.nodes["id"][ends]) <= found.nodes


def test_what_is_marked_is_there_and_led_on() -> None:
    diff = large()
    absent = sorted(set(diff.nodes["id"]) - focus(diff, 0.2).nodes)[0]
    found = focus(diff, 0.2, [absent])
    assert absent in found.nodes
    edges = diff.edges[diff.edges["source"].isin(found.nodes) & diff.edges["target"].isin(found.nodes)]
    assert (edges["source"] == absent).any() or not (diff.edges["source"] == absent).any()


def test_where_nothing_but_rounding_differs_most_of_what_flows_is_drawn() -> None:
    diff = diff_graphs(large().b, large().b)
    found = focus(diff, 0.5)
    assert len(found.nodes) < len(diff.nodes)
    flow = diff.edges["flow_b"].abs()
    between = diff.edges["source"].isin(found.nodes) & diff.edges["target"].isin(found.nodes)
    assert found.share == pytest.approx(flow[between].sum() / flow.sum())
    assert found.share >= 0.5
    assert drawn_sentence(diff, found).endswith(" of what flows.")


def test_only_these_are_sent_and_the_counts_are_of_the_whole() -> None:
    diff = large()
    found = focus(diff, 0.3)
    view, everything = pair_view(diff, among=found), pair_view(diff)
    assert {node["id"] for node in view.nodes} == found.nodes
    assert len(view.edges["from"]) == found.n_edges
    assert view.sides == everything.sides
    assert np.array(view.edges["from"]).max() < len(view.nodes)
