"""How much of a graph runs through features: circuit-tracer's two scores, of the whole graph or what pruning kept."""

from dataclasses import dataclass, replace

import numpy as np

from engine.analysis.pruning import Flow, Pruned, flow
from engine.domain.graphs import AttributionGraph, NodeKind


@dataclass(frozen=True)
class PrunedScores:
    """Scores from 0 to 1, 0 where nothing leads to an output; and how much is kept."""

    replacement: float
    completeness: float
    n_nodes: int
    n_edges: int


def graph_scores(graph: AttributionGraph, known: Flow) -> tuple[float, float]:
    """Replacement and completeness: `circuit_tracer.graph.compute_graph_scores` (0.5), over the edge list.

    replacement: of the influence that reaches the start (prompt tokens and error nodes), the tokens' part.
    completeness: of the inputs of all nodes, weighted by their influence on the output, the part that is not error.
    Both from 0 to 1, and 0 where nothing leads to an output. `known`: the graph's `flow`.
    """
    influence = known.output_influence
    tokens, errors = (float(influence[graph.kind == kind].sum()) for kind in (NodeKind.TOKEN, NodeKind.ERROR))
    by_error = np.flatnonzero((graph.kind == NodeKind.ERROR)[graph.source])
    unexplained = np.bincount(  # (n_nodes,) share of the inputs
        graph.target[by_error], np.abs(known.share[by_error]), minlength=graph.n_nodes
    )
    total = float(influence.sum())
    replacement = tokens / (tokens + errors) if tokens + errors > 0 else 0.0
    return replacement, float(((1 - unexplained) * influence).sum()) / total if total > 0 else 0.0


def pruned_scores(graph: AttributionGraph, pruned: Pruned) -> PrunedScores:
    """`graph_scores` of the kept edges alone.

    Inputs are normalised anew over what is kept; so pruning that takes away error nodes raises both scores: they say
    how well the circuit on the screen explains itself, `graph.fit` how well features explain the model.
    """
    edges = pruned.edge_mask
    kept = replace(graph, source=graph.source[edges], target=graph.target[edges], weight=graph.weight[edges])
    replacement, completeness = graph_scores(kept, flow(kept))
    return PrunedScores(
        replacement=replacement,
        completeness=completeness,
        n_nodes=int(pruned.node_mask.sum()),
        n_edges=int(edges.sum()),
    )
