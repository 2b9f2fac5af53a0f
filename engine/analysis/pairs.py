"""Two graphs that were cut apart, with what each of them has for the edges that only the other one keeps."""

from dataclasses import replace

import numpy as np

from engine.analysis.identities import identities, unique_rows
from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import AttributionGraph, PairEdges


def only_kept_by(other: AttributionGraph, graph: AttributionGraph) -> tuple[np.ndarray, np.ndarray]:
    """Source and target, (n,) rows of `graph`, of the edges that `other` keeps and `graph` does not.

    In the order of `other`'s edges; those with an end that is no node of `graph` are left out: there they do not exist.
    """
    row = _rows_in(graph, other)
    source, target = row[other.source], row[other.target]
    inside = (source >= 0) & (target >= 0)
    source, target = source[inside], target[inside]
    own = graph.target.astype(np.int64) * graph.n_nodes + graph.source
    missing = ~np.isin(target * graph.n_nodes + source, own)
    return source[missing], target[missing]


def completed(a: AttributionGraph, b: AttributionGraph, edges: PairEdges) -> tuple[AttributionGraph, AttributionGraph]:
    """Both graphs with every edge that either keeps, so that one that is not there does not exist.

    Raises ComparisonRefused where `edges` are those of other graphs.
    """
    is_turned = edges.pair.first != a.key
    of_a, of_b = (edges.of_second, edges.of_first) if is_turned else (edges.of_first, edges.of_second)
    return _with_edges(a, b, of_a), _with_edges(b, a, of_b)


def _with_edges(graph: AttributionGraph, other: AttributionGraph, weight: np.ndarray) -> AttributionGraph:
    source, target = only_kept_by(other, graph)
    if len(source) != len(weight):
        raise ComparisonRefused(
            f"{len(weight)} weights are stored for {len(source)} edges of {graph.key.checkpoint} on "
            f"“{graph.key.prompt[:200]}”: they are of other graphs. Trace the comparison again."
        )
    there = weight != 0
    source, target = (np.append(old, new[there]) for old, new in ((graph.source, source), (graph.target, target)))
    order = np.lexsort((source, target))
    kept = np.append(graph.uncut.kept_edges, np.zeros(int(there.sum()), dtype=bool)) if graph.uncut else None
    return replace(
        graph,
        source=source[order].astype(np.int32),
        target=target[order].astype(np.int32),
        weight=np.append(graph.weight, weight[there])[order],
        uncut=replace(graph.uncut, kept_edges=kept[order]) if graph.uncut and kept is not None else None,
        is_whole=True,
    )


def _rows_in(graph: AttributionGraph, other: AttributionGraph) -> np.ndarray:
    """(n_nodes of other,) the row of the same node in `graph`, or -1."""
    union, inverse = unique_rows(np.concatenate([identities(graph), identities(other)]))
    row = np.full(len(union), -1)
    row[inverse[: graph.n_nodes]] = np.arange(graph.n_nodes)
    return row[inverse[graph.n_nodes :]]
