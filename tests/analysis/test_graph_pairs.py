"""Two graphs that were cut apart compare as if nothing had been cut, once each knows what the other keeps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.pairs import completed, features_of, only_kept_by
from engine.analysis.parts import with_parts
from engine.analysis.pruning import DEFAULT_PRUNING, flow, prune
from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import AttributionGraph, GraphPair, NodeKind, PairMeasures, Uncut
from tests.analysis.micro_graphs import random_graph


def cut(graph: AttributionGraph, *, rest: float) -> AttributionGraph:
    """As a trace cuts it: the edges into the outputs, what is kept by default, and a share of the rest."""
    known, pruned = flow(graph), prune(graph)
    stays = pruned.edge_mask | (graph.kind[graph.target] == NodeKind.LOGIT)
    stays |= np.random.default_rng(graph.n_edges).random(graph.n_edges) < rest
    uncut = Uncut(
        n_edges=graph.n_edges,
        inputs=np.bincount(graph.target, np.abs(graph.weight), minlength=graph.n_nodes),
        influence=known.influence,
        kept_nodes=pruned.node_mask,
        kept_edges=pruned.edge_mask[stays],
    )
    ends = {name: getattr(graph, name)[stays] for name in ("source", "target", "weight")}
    return replace(graph, **ends, uncut=uncut, is_whole=False)


def pair(seed: int) -> list[AttributionGraph]:
    """Two graphs with many nodes in common and weights of their own, with the parts of all their edges."""
    a = random_graph(seed)
    rng = np.random.default_rng(seed)
    other = np.where((a.kind == NodeKind.FEATURE) & (rng.random(a.n_nodes) < 0.3), a.index + 1000, a.index)
    weight = np.where(rng.random(a.n_edges) < 0.5, a.weight, rng.normal(size=a.n_edges)).astype(np.float32)
    b = replace(a, index=other, weight=weight, key=a.key.model_copy(update={"checkpoint": "run@100%"}))
    return [with_parts(a), with_parts(b)]


def edges_of(whole: list[AttributionGraph], kept: list[AttributionGraph]) -> PairMeasures:
    found = {}
    for here in (0, 1):
        own = whole[here]
        known = {(s, t): w for s, t, w in zip(own.source, own.target, own.weight, strict=True)}
        rows = zip(*only_kept_by(kept[1 - here], kept[here]), strict=True)
        found[own.key.hash] = np.array([known.get(ends, 0) for ends in rows], dtype=np.float32)
    both = GraphPair.of(*(graph.key for graph in whole))
    return PairMeasures(both, found[both.first.hash], found[both.second.hash])


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_pair_differs_as_the_whole_one(seed: int) -> None:
    whole = pair(seed)
    kept = [cut(graph, rest=0.1) for graph in whole]
    assert all(graph.n_edges < 0.9 * own.n_edges for graph, own in zip(kept, whole, strict=True))
    assert "not kept" in set(diff_graphs(*kept).edges["status"])
    found, wanted = diff_graphs(*completed(*kept, edges_of(whole, kept))), diff_graphs(*whole)
    pd.testing.assert_frame_equal(found.edges, wanted.edges)
    pd.testing.assert_frame_equal(found.nodes, wanted.nodes)
    assert (found.summary, found.explained) == (wanted.summary, wanted.explained)
    # and the other way round
    back = diff_graphs(*completed(*kept[::-1], edges_of(whole, kept)))
    pd.testing.assert_frame_equal(back.edges, diff_graphs(*whole[::-1]).edges)


def test_what_only_the_other_keeps_is_in_its_order_and_has_both_ends() -> None:
    whole = pair(5)
    a, b = (cut(graph, rest=0.1) for graph in whole)
    source, target = only_kept_by(b, a)
    ids, others = a.node_ids(), b.node_ids()
    own = {(ids[s], ids[t]) for s, t in zip(a.source, a.target, strict=True)}
    wanted = [
        (others[s], others[t])
        for s, t in zip(b.source, b.target, strict=True)
        if others[s] in ids and others[t] in ids and (others[s], others[t]) not in own
    ]
    assert [(ids[s], ids[t]) for s, t in zip(source, target, strict=True)] == wanted


def test_edges_of_other_graphs_are_refused() -> None:
    whole = pair(1)
    kept = [cut(graph, rest=0.1) for graph in whole]
    stored = edges_of(whole, kept)
    with pytest.raises(ComparisonRefused, match="Trace the comparison again"):
        completed(*kept, replace(stored, of_first=stored.of_first[1:]))


def test_each_graph_gets_its_own_gradients_in_either_order() -> None:
    whole = pair(3)
    features = features_of(*whole)
    ids = {node for graph in whole for node in graph.node_ids() if node.startswith("feature")}
    assert {f"feature/{layer}/{position}/{index}" for layer, position, index in features} == ids
    np.testing.assert_array_equal(features, features_of(*whole[::-1]))
    shape = (len(whole[0].target_tokens), len(features))
    stored = edges_of(whole, whole)
    measures = replace(
        stored, gradients_of_first=np.full(shape, 1, np.float32), gradients_of_second=np.full(shape, 2, np.float32)
    )
    for graphs in (whole, whole[::-1]):
        for graph in completed(graphs[0], graphs[1], measures):
            assert graph.gradients is not None
            assert (graph.gradients.per_unit == (1 if graph.key == stored.pair.first else 2)).all()
    with pytest.raises(ComparisonRefused, match="Gradients of shape"):
        completed(whole[0], whole[1], replace(measures, gradients_of_second=np.zeros((shape[0], 3), np.float32)))
    assert [graph.gradients for graph in completed(whole[0], whole[1], stored)] == [None, None]


def test_graphs_without_features_are_a_pair() -> None:
    bare = [
        replace(graph, kind=np.where(graph.kind == NodeKind.FEATURE, NodeKind.ERROR, graph.kind)) for graph in pair(0)
    ]
    assert features_of(*bare).shape == (0, 3)


def test_a_completed_graph_keeps_its_measures() -> None:
    whole = pair(2)
    kept = [cut(graph, rest=0.1) for graph in whole]
    both = completed(*kept, edges_of(whole, kept))
    assert sum(graph.n_edges for graph in both) > sum(graph.n_edges for graph in kept)
    for graph, own in zip(both, kept, strict=True):
        assert (np.diff(graph.target) >= 0).all()
        np.testing.assert_array_equal(flow(graph).influence, flow(own).influence)
        assert prune(graph, DEFAULT_PRUNING).edge_mask.sum() == prune(own, DEFAULT_PRUNING).edge_mask.sum()
