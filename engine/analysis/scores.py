"""How much of what is shown runs through features: circuit-tracer's two scores, of the pruned graph."""

from dataclasses import dataclass, replace

import numpy as np

from engine.analysis.pruning import Pruned, flow
from engine.domain.graphs import AttributionGraph, NodeKind


@dataclass(frozen=True)
class PrunedScores:
    """Scores from 0 to 1, 0 where nothing leads to an output; and how much is kept."""

    replacement: float
    completeness: float
    n_nodes: int
    n_edges: int


def pruned_scores(graph: AttributionGraph, pruned: Pruned) -> PrunedScores:
    """`circuit_tracer.graph.compute_graph_scores` (0.5) of the kept edges alone, over the edge list.

    replacement: of the influence that reaches the start (prompt tokens and error nodes), the tokens' part.
    completeness: of the inputs of all nodes, weighted by their influence on the output, the part that is not error.
    Inputs are normalised anew over what is kept; so pruning that takes away error nodes raises both scores: they say
    how well the circuit on the screen explains itself, `graph.fit` how well features explain the model.
    """
    edges = pruned.edge_mask
    kept = replace(graph, source=graph.source[edges], target=graph.target[edges], weight=graph.weight[edges])
    known = flow(kept)
    influence = known.output_influence
    tokens, errors = (float(influence[graph.kind == kind].sum()) for kind in (NodeKind.TOKEN, NodeKind.ERROR))
    from_errors = np.abs(known.share) * (graph.kind[kept.source] == NodeKind.ERROR)
    unexplained = np.bincount(kept.target, from_errors, minlength=graph.n_nodes)  # (n_nodes,) share of the inputs
    total = float(influence.sum())
    return PrunedScores(
        replacement=tokens / (tokens + errors) if tokens + errors > 0 else 0.0,
        completeness=float(((1 - unexplained) * influence).sum()) / total if total > 0 else 0.0,
        n_nodes=int(pruned.node_mask.sum()),
        n_edges=int(edges.sum()),
    )
