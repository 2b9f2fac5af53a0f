"""Pruning equals circuit-tracer's, on a micro graph worked by hand and on random ones."""

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.pruning import _influence, contributions, flow, node_influence, prune
from engine.analysis.records import graph_record
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph


def dense(graph: AttributionGraph) -> np.ndarray:
    """(n, n), rows are targets, columns are sources, as circuit-tracer has it."""
    matrix = np.zeros((graph.n_nodes, graph.n_nodes))
    matrix[graph.target, graph.source] = graph.weight
    return matrix


@pytest.fixture
def _double_precision():
    """circuit-tracer in float64, so that equality can be exact instead of up to rounding at the threshold."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def as_circuit_tracer(graph: AttributionGraph) -> SimpleNamespace:
    import torch

    return SimpleNamespace(
        adjacency_matrix=torch.tensor(dense(graph)),
        input_tokens=torch.tensor(graph.token_ids),
        logit_targets=list(graph.target_tokens),
        selected_features=torch.arange(int((graph.kind == NodeKind.FEATURE).sum())),
        logit_probabilities=torch.tensor(graph.target_probability.astype(np.float64)),
    )


def test_influence_by_hand():
    expected = [0.421875, 0.296875, 0.5625, 0.3125, 0, 0.15625, 0, 0.125, 0, 0.71875, 0, 0]
    np.testing.assert_allclose(node_influence(micro_a()), expected, atol=1e-12)


def test_shares_and_contributions_by_hand():
    graph = micro_a()
    np.testing.assert_allclose(flow(graph).share, [1, 1, 0.75, -0.25, 0.5, 0.5, 0.75, -0.25, 0.5, 0.5])
    expected = [0.421875, 0.296875, 0.421875, 0.140625, 0.15625, 0.15625, 0.5625, 0.1875, 0.125, 0.125]
    np.testing.assert_allclose(contributions(graph), expected)


def test_prune_by_hand():
    pruned = prune(micro_a())
    assert np.flatnonzero(pruned.node_mask).tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert np.flatnonzero(pruned.edge_mask).tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
    fewer = prune(micro_a(), PruneSettings(edge_threshold=0.9))
    assert np.flatnonzero(fewer.edge_mask).tolist() == [0, 1, 2, 4, 6, 7, 8]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("node", "edge"), [(0.8, 0.98), (0.5, 0.7), (0.95, 0.9)])
@pytest.mark.usefixtures("_double_precision")
def test_equal_to_circuit_tracer(seed, node, edge):
    from circuit_tracer.graph import compute_node_influence, prune_graph

    graph = random_graph(seed, density=0.05 + 0.07 * seed)
    theirs = as_circuit_tracer(graph)
    expected = prune_graph(theirs, node_threshold=node, edge_threshold=edge)  # type: ignore[arg-type]
    ours = prune(graph, PruneSettings(node_threshold=node, edge_threshold=edge))
    np.testing.assert_array_equal(ours.node_mask, expected.node_mask.numpy())
    np.testing.assert_array_equal(ours.edge_mask, expected.edge_mask.numpy()[graph.target, graph.source])

    weights = np.zeros(graph.n_nodes)
    weights[graph.kind == NodeKind.LOGIT] = graph.target_probability
    import torch

    influence = compute_node_influence(theirs.adjacency_matrix, torch.tensor(weights))
    np.testing.assert_allclose(node_influence(graph), influence.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_kept_edges_have_kept_ends_and_features_have_both(seed):
    graph = random_graph(seed)
    for settings in (
        PruneSettings(),
        PruneSettings(node_threshold=0.3, edge_threshold=0.3),
        PruneSettings(node_threshold=1.0, edge_threshold=1.0),
    ):
        pruned = prune(graph, settings)
        source, target = graph.source[pruned.edge_mask], graph.target[pruned.edge_mask]
        assert pruned.node_mask[source].all()
        assert pruned.node_mask[target].all()
        kept = np.flatnonzero(pruned.node_mask & (graph.kind == NodeKind.FEATURE))
        assert np.isin(kept, source).all()
        assert np.isin(kept, target).all()
        assert pruned.node_mask[graph.kind >= NodeKind.TOKEN].all()


def test_contributions_into_logits_are_their_probability():
    graph = micro_a()
    into_logits = graph.kind[graph.target] == NodeKind.LOGIT
    assert contributions(graph)[into_logits].sum() == pytest.approx(1.0)


def test_scale_of_a_target_does_not_matter():
    graph = micro_b()
    scaled = replace(graph, weight=graph.weight * np.where(graph.target == 10, np.float32(4), np.float32(1)))
    np.testing.assert_allclose(contributions(scaled), contributions(graph))


def test_graph_without_edges_keeps_tokens_and_logits():
    graph = random_graph(0, density=0)
    pruned = prune(graph)
    np.testing.assert_array_equal(pruned.node_mask, graph.kind >= NodeKind.TOKEN)
    assert not len(pruned.edge_mask)


def test_a_cycle_is_refused():
    graph = micro_a()
    looped = replace(graph, source=graph.source.copy(), target=graph.target.copy())
    looped.source[0], looped.target[0] = 2, 0  # f2 -> f0 and f0 -> f2
    with pytest.raises(ValueError, match="cycle"):
        prune(looped)


def test_8_000_nodes_need_no_dense_matrix():
    graph = random_graph(4, n_features=8000, n_layers=12, n_pos=16, pool=200, n_edges=200_000)
    assert graph.n_nodes > 8000
    tracemalloc.start()
    prune(graph)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < graph.n_nodes**2  # bytes: not even a bool matrix


def test_edges_in_any_order_and_direction():
    """Layer by layer where every edge goes up, however they are ordered; path by path where one does not: the same."""
    graph = random_graph(3)
    mixed = np.random.default_rng(0).permutation(graph.n_edges)
    shuffled = replace(graph, source=graph.source[mixed], target=graph.target[mixed], weight=graph.weight[mixed])
    np.testing.assert_allclose(node_influence(shuffled), node_influence(graph), atol=1e-15)
    np.testing.assert_array_equal(prune(shuffled).edge_mask, prune(graph).edge_mask[mixed])
    flat = replace(graph, layer=np.zeros_like(graph.layer))  # the same edges, none of which goes up by its layers
    np.testing.assert_allclose(node_influence(flat), node_influence(graph), atol=1e-15)
    np.testing.assert_array_equal(prune(flat).edge_mask, prune(graph).edge_mask)


def test_what_is_known_of_a_graph_need_not_be_computed_again():
    graph = random_graph(5)
    known = flow(graph)
    np.testing.assert_array_equal(known.influence, node_influence(graph))
    np.testing.assert_array_equal(known.contribution, contributions(graph))
    np.testing.assert_array_equal(prune(graph, known=known).edge_mask, prune(graph).edge_mask)


def test_influence_is_computed_once_a_graph_and_once_for_what_is_kept_of_it(monkeypatch: pytest.MonkeyPatch):
    a = random_graph(5)
    made: list[AttributionGraph] = []
    monkeypatch.setattr(
        "engine.analysis.pruning._influence", lambda graph, edges: made.append(graph) or _influence(graph, edges)
    )
    diff_graphs(a, a)
    assert len(made) == 2 * 2
    made.clear()
    graph_record(a)
    assert len(made) == 2
