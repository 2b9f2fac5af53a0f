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


@dataclass(frozen=True, eq=False)
class Flow:
    """What every measure of one graph starts from. Computed once a graph and handed on.

    share: the signed weight over the summed absolute inputs of the edge's target.
    influence: on the probability-weighted logits over all paths of one edge or more, as circuit-tracer's
    `compute_node_influence`: 0 for the logits themselves, which have no outgoing edges.
    output_influence: the influence, and for each logit its probability: what a node's inputs contribute to.
    """

    share: np.ndarray  # (n_edges,) float64
    influence: np.ndarray  # (n_nodes,) float64
    output_influence: np.ndarray  # (n_nodes,) float64
    contribution: (
        np.ndarray
    )  # (n_edges,) float64 >= 0, |share| x output influence of the target: its part in the output


def flow(graph: AttributionGraph) -> Flow:
    """Of all edges that the graph had before any was cut. Raises ValueError where the edges form a cycle."""
    if graph.uncut is not None:
        share = graph.weight.astype(np.float64) / np.maximum(graph.uncut.inputs, _TINY)[graph.target]
        influence = graph.uncut.influence.astype(np.float64)
    else:
        edges = _normalised(graph, slice(None))
        share, influence = edges.share, _influence(graph, edges)
    total = influence + _logit_weights(graph)
    return Flow(share, influence, total, np.abs(share) * total[graph.target])


def node_influence(graph: AttributionGraph) -> np.ndarray:
    """(n_nodes,) float64: `Flow.influence`. Raises ValueError where the edges form a cycle."""
    return flow(graph).influence


def contributions(graph: AttributionGraph) -> np.ndarray:
    """(n_edges,) float64 >= 0: `Flow.contribution`. Those into all logits add up to the targets' summed probability."""
    return flow(graph).contribution


def prune(graph: AttributionGraph, settings: PruneSettings = DEFAULT_PRUNING, *, known: Flow | None = None) -> Pruned:
    """The nodes and edges that `circuit_tracer.graph.prune_graph` keeps.

    Nodes are cut at a share of the summed node influence (tokens and logits always stay); edges, at a share of the
    summed edge influence on the graph of the kept nodes; then features without inputs and features and errors
    without outputs go, until none is left. An edge of weight 0 is no edge, at any threshold.
    With the default settings it is what would be kept of all edges that the graph had before any was cut; with others,
    what is kept of those that are left. `known`: the graph's `flow`, where it is at hand.
    """
    if graph.uncut is not None and settings == DEFAULT_PRUNING:
        return Pruned(graph.uncut.kept_nodes, graph.uncut.kept_edges)
    nodes = influential(graph, (known or flow(graph)).influence, settings)
    inside = np.flatnonzero(nodes[graph.source] & nodes[graph.target])
    edges = _normalised(graph, inside)
    total = _influence(graph, edges) + _logit_weights(graph)
    score = np.abs(edges.share) * total[edges.target]
    return without_dead_ends(graph, nodes, inside[score >= _threshold(score, settings.edge_threshold)])


def influential(graph: AttributionGraph, influence: np.ndarray, settings: PruneSettings) -> np.ndarray:
    """(n_nodes,) bool: what pruning begins with, by the `influence` (n_nodes,) of each node."""
    return (influence >= _threshold(influence, settings.node_threshold)) | (graph.kind >= NodeKind.TOKEN)


def without_dead_ends(graph: AttributionGraph, nodes: np.ndarray, edges: np.ndarray) -> Pruned:
    """What is left of `nodes` (n_nodes,) bool and `edges`, rows, once features without inputs and features and errors
    without outputs are gone."""
    needs_output = graph.kind <= NodeKind.ERROR
    needs_input = graph.kind == NodeKind.FEATURE
    source, target = graph.source[edges], graph.target[edges]
    while True:
        has_output = np.bincount(source, minlength=graph.n_nodes) > 0
        has_input = np.bincount(target, minlength=graph.n_nodes) > 0
        kept = nodes & (has_output | ~needs_output) & (has_input | ~needs_input)
        stays = kept[source] & kept[target]
        edges, source, target = edges[stays], source[stays], target[stays]
        if (kept == nodes).all():
            mask = np.zeros(graph.n_edges, dtype=bool)
            mask[edges] = True
            return Pruned(node_mask=kept, edge_mask=mask)
        nodes = kept


@dataclass(frozen=True, eq=False)
class _Edges:
    """Some edges of a graph, with their signed share of what these bring to their target."""

    source: np.ndarray
    target: np.ndarray
    share: np.ndarray  # float64


def _normalised(graph: AttributionGraph, rows: np.ndarray | slice) -> _Edges:
    source, target = graph.source[rows], graph.target[rows]
    weight = graph.weight[rows].astype(np.float64)
    total = np.bincount(target, np.abs(weight), minlength=graph.n_nodes)
    return _Edges(source, target, weight / np.maximum(total, _TINY)[target])


def _logit_weights(graph: AttributionGraph) -> np.ndarray:
    weights = np.zeros(graph.n_nodes)
    weights[graph.kind == NodeKind.LOGIT] = graph.target_probability
    return weights


def _influence(graph: AttributionGraph, edges: _Edges) -> np.ndarray:
    """(n_nodes,) the sum over all paths to the logits of their weight times the absolute shares on the way."""
    layer = graph.layer[edges.target]
    if (graph.layer[edges.source] >= layer).any():
        return _over_paths(graph, edges)
    # Every edge goes up, as in each traced graph: from the highest layer down, a target's influence is known in time.
    if (np.diff(layer) < 0).any():
        order = np.argsort(layer, kind="stable")
        edges, layer = _Edges(edges.source[order], edges.target[order], edges.share[order]), layer[order]
    size = np.abs(edges.share)
    total, with_logits = np.zeros(graph.n_nodes), _logit_weights(graph)
    ends = [0, *(np.flatnonzero(np.diff(layer)) + 1).tolist(), len(layer)]
    for start, end in zip(ends[-2::-1], ends[:0:-1], strict=True):
        value = size[start:end] * with_logits[edges.target[start:end]]
        added = np.bincount(edges.source[start:end], value, minlength=graph.n_nodes)
        total += added
        with_logits += added
    return total


def _over_paths(graph: AttributionGraph, edges: _Edges) -> np.ndarray:
    """`_influence` for edges in any direction: the logit weights carried back over 1, 2, 3, ... edges; ends because the
    graph has no cycle."""
    size = np.abs(edges.share)
    total, current = np.zeros(graph.n_nodes), _logit_weights(graph)
    for _ in range(graph.n_nodes):
        current = np.bincount(edges.source, size * current[edges.target], minlength=graph.n_nodes)
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
