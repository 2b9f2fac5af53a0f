"""What a graph predicts for changed features by its edges, node by node: the definition, slow."""

from collections.abc import Collection
from functools import cache

import numpy as np

from engine.domain.graphs import AttributionGraph, NodeKind


def along_edges(graph: AttributionGraph, features: Collection[str], factor: float) -> list[float]:
    """The two sums of `engine.attribution.predictions`, of the edges that the graph has; one entry an output."""
    ids, changed = graph.node_ids(), set(features)

    @cache
    def change(row: int) -> float:
        into = np.flatnonzero(graph.target == row)
        return sum(float(graph.weight[edge]) * fraction(int(graph.source[edge])) for edge in into)

    @cache
    def fraction(row: int) -> float:
        if graph.kind[row] != NodeKind.FEATURE:
            return 0.0
        return factor - 1 if ids[row] in changed else change(row) / float(graph.activation[row])

    return [change(row) for row in np.flatnonzero(graph.kind == NodeKind.LOGIT).tolist()]
