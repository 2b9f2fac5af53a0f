"""Which nodes and edges of an attribution graph carry its output.

The measures are those of circuit-tracer 0.5 (`circuit_tracer.graph`, after Ameisen et al. 2025), computed over the
edge list instead of a dense matrix, so that a graph of thousands of nodes needs no n x n array.
"""

from dataclasses import dataclass

import numpy as np

from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings

DEFAULT_PRUNING = PruneSettings()
_TINY = 1e-10  # circuit-tracer's guard for a node without inputs


@dataclass(frozen=True, eq=False)
class Pruned:
    """What is kept: `node_mask` (n_nodes,) bool, `edge_mask` (n_edges,) bool; a kept edge has kept ends."""

    node_mask: np.ndarray
    edge_mask: np.ndarray


def shares(graph: AttributionGraph) -> np.ndarray:
    """(n_edges,) float64: the signed weight over the summed absolute inputs of the edge's target."""
    return _shares(graph, graph.weight.astype(np.float64))


def node_influence(graph: AttributionGraph) -> np.ndarray:
    """(n_nodes,) float64: influence on the probability-weighted logits over all paths of one edge or more.

    Equal to `compute_node_influence`: 0 for the logits themselves, which have no outgoing edges.
    Raises ValueError where the edges form a cycle.
    """
    return _influence(graph, np.abs(shares(graph)))


def output_influence(graph: AttributionGraph) -> np.ndarray:
    """(n_nodes,) float64: `node_influence`, and for each logit its probability: what a node's inputs are worth."""
    return node_influence(graph) + _logit_weights(graph)


def contributions(graph: AttributionGraph) -> np.ndarray:
    """(n_edges,) float64 >= 0: |share| x output influence of the target: the edge's part in the output.

    The contributions into all logits add up to the summed probability of the targets.
    """
    return np.abs(shares(graph)) * output_influence(graph)[graph.target]


def prune(graph: AttributionGraph, settings: PruneSettings = DEFAULT_PRUNING) -> Pruned:
    """The nodes and edges that `circuit_tracer.graph.prune_graph` keeps.

    Nodes are cut at a share of the summed node influence (tokens and logits always stay); edges, at a share of the
    summed edge influence on the graph of the kept nodes; then features without inputs and features and errors
    without outputs go, until none is left. An edge of weight 0 is no edge, at any threshold.
    """
    influence = node_influence(graph)
    fixed = graph.kind >= NodeKind.TOKEN
    nodes = (influence >= _threshold(influence, settings.node_threshold)) | fixed

    inside = nodes[graph.source] & nodes[graph.target]
    share = np.abs(_shares(graph, np.where(inside, graph.weight, 0).astype(np.float64)))
    worth = _influence(graph, share) + _logit_weights(graph)
    score = share * worth[graph.target]
    edges = inside & (score >= _threshold(score, settings.edge_threshold))
    return _drop_dead_ends(graph, nodes, edges)


def _drop_dead_ends(graph: AttributionGraph, nodes: np.ndarray, edges: np.ndarray) -> Pruned:
    needs_output = graph.kind <= NodeKind.ERROR
    needs_input = graph.kind == NodeKind.FEATURE
    while True:
        has_output = np.bincount(graph.source[edges], minlength=graph.n_nodes) > 0
        has_input = np.bincount(graph.target[edges], minlength=graph.n_nodes) > 0
        kept = nodes & (has_output | ~needs_output) & (has_input | ~needs_input)
        edges = edges & kept[graph.source] & kept[graph.target]
        if (kept == nodes).all():
            return Pruned(node_mask=kept, edge_mask=edges)
        nodes = kept


def _shares(graph: AttributionGraph, weight: np.ndarray) -> np.ndarray:
    total = np.bincount(graph.target, np.abs(weight), minlength=graph.n_nodes)
    return weight / np.maximum(total, _TINY)[graph.target]


def _logit_weights(graph: AttributionGraph) -> np.ndarray:
    weights = np.zeros(graph.n_nodes)
    weights[graph.kind == NodeKind.LOGIT] = graph.target_probability
    return weights


def _influence(graph: AttributionGraph, share: np.ndarray) -> np.ndarray:
    """Sum of the logit weights carried back over 1, 2, 3, ... edges; ends because the graph has no cycle."""
    total, current = np.zeros(graph.n_nodes), _logit_weights(graph)
    for _ in range(graph.n_nodes):
        current = np.bincount(graph.source, share * current[graph.target], minlength=graph.n_nodes)
        if not current.any():
            return total
        total += current
    if current.any():
        raise ValueError(f"The edges of graph {graph.key.hash} form a cycle; an attribution graph has none.")
    return total


def _threshold(scores: np.ndarray, fraction: float) -> float:
    """The smallest score that is needed for `fraction` of the summed scores, the largest first."""
    descending = np.sort(scores)[::-1]
    total = descending.sum()
    if not total > 0:
        return 0.0
    place = int(np.searchsorted(np.cumsum(descending) / total, fraction))
    return float(descending[min(place, len(descending) - 1)])
