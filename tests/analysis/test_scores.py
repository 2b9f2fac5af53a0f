"""Scores of the pruned graph equal circuit-tracer's on the same matrix."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.analysis.pruning import Pruned, prune
from engine.analysis.scores import pruned_scores
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings
from engine.store import Store
from tests.analysis.micro_graphs import micro_a, random_graph


def everything(graph: AttributionGraph) -> Pruned:
    return Pruned(np.ones(graph.n_nodes, dtype=bool), np.ones(graph.n_edges, dtype=bool))


def theirs(graph: AttributionGraph, pruned: Pruned) -> tuple[float, float]:
    """circuit-tracer's function on the dense matrix (rows are targets) of the kept edges."""
    import torch
    from circuit_tracer.graph import compute_graph_scores

    matrix = np.zeros((graph.n_nodes, graph.n_nodes), dtype=np.float32)
    kept = pruned.edge_mask
    matrix[graph.target[kept], graph.source[kept]] = graph.weight[kept]
    stand_in = SimpleNamespace(
        adjacency_matrix=torch.tensor(matrix),
        input_tokens=torch.tensor(graph.token_ids),
        logit_targets=list(graph.target_tokens),
        selected_features=torch.arange(int((graph.kind == NodeKind.FEATURE).sum())),
        logit_probabilities=torch.tensor(graph.target_probability),
        cfg=SimpleNamespace(n_layers=graph.n_layers),
    )
    replacement, completeness = compute_graph_scores(stand_in)  # type: ignore[arg-type]
    return float(np.nan_to_num(replacement)), completeness  # 0 / 0 where nothing reaches the start


def test_by_hand():
    """Side A of the micro pair: error influence .15625 + .125, token .71875; all worth adds up as listed there."""
    graph = micro_a()
    scores = pruned_scores(graph, everything(graph))
    assert scores.replacement == pytest.approx(0.71875 / (0.71875 + 0.28125))
    worth = {"f": 0.421875 + 0.296875 + 0.5625 + 0.3125, "rest": 0.28125 + 0.71875, "logits": 1.0}
    lost = 0.5 * 0.3125 + 0.5 * 0.25  # half of feature 4's inputs and half of “no”'s are errors
    total = sum(worth.values())
    assert scores.completeness == pytest.approx((total - lost) / total)
    assert (scores.n_nodes, scores.n_edges) == (12, 10)


def test_pruned_by_hand():
    """Without the errors every input is a token's or a feature's."""
    graph = micro_a()
    scores = pruned_scores(graph, prune(graph))
    assert (scores.replacement, scores.completeness, scores.n_nodes, scores.n_edges) == (1, 1, 8, 8)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("node", [0.5, 0.8, 1.0])
def test_equal_to_circuit_tracer(seed, node):
    graph = random_graph(seed, density=0.05 + 0.05 * seed)
    pruned = prune(graph, PruneSettings(node_threshold=node))
    scores = pruned_scores(graph, pruned)
    assert (scores.replacement, scores.completeness) == pytest.approx(theirs(graph, pruned), abs=1e-5)


def test_a_graph_that_explains_nothing():
    graph = random_graph(0, density=0)
    scores = pruned_scores(graph, prune(graph))
    assert (scores.replacement, scores.n_edges) == (0, 0)


def test_the_demo_graphs_have_the_scores_that_they_were_traced_with(demo_store: Store):
    """Within 0.015: they keep the 40,000 largest of some 100,000 edges, `fit` is of all."""
    keys = demo_store.graph_keys()
    assert keys
    for key in keys:
        graph = demo_store.graph(key)
        scores = pruned_scores(graph, everything(graph))
        assert scores.replacement == pytest.approx(graph.fit.replacement, abs=0.015)
        assert scores.completeness == pytest.approx(graph.fit.completeness, abs=0.015)
        default = pruned_scores(graph, prune(graph))
        assert default.n_edges < graph.n_edges
