"""Two graphs that were traced apart, with what each of them has for the edges and features that only the other has."""

from dataclasses import replace

import numpy as np

from engine.analysis.identities import identities, unique_rows
from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import AttributionGraph, FeatureGradients, NodeKind, PairMeasures


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


def features_of(a: AttributionGraph, b: AttributionGraph) -> np.ndarray:
    """(n, 3) layer, position, index of the features that either graph has, in this order."""
    of_both = [identities(graph)[graph.kind == NodeKind.FEATURE] for graph in (a, b)]
    return unique_rows(np.concatenate(of_both)[:, [0, 1, 3]])[0]


def completed(
    a: AttributionGraph, b: AttributionGraph, measures: PairMeasures
) -> tuple[AttributionGraph, AttributionGraph]:
    """Both graphs with every edge that either keeps, so that one that is not there does not exist, and gradients.

    Raises ComparisonRefused where `measures` are those of other graphs.
    """
    edges = [measures.of_first, measures.of_second]
    per_unit = [measures.gradients_of_first, measures.gradients_of_second]
    if measures.pair.first != a.key:
        edges, per_unit = edges[::-1], per_unit[::-1]
    features = features_of(a, b)
    return (
        _with_gradients(_with_edges(a, b, edges[0]), features, per_unit[0]),
        _with_gradients(_with_edges(b, a, edges[1]), features, per_unit[1]),
    )


def _with_gradients(graph: AttributionGraph, features: np.ndarray, per_unit: np.ndarray | None) -> AttributionGraph:
    if per_unit is None:
        return graph
    if per_unit.shape != (len(graph.target_tokens), len(features)):
        raise _of_others(graph, f"Gradients of shape {per_unit.shape} are stored for {len(features)} features")
    return replace(graph, gradients=FeatureGradients(features, per_unit))


def _of_others(graph: AttributionGraph, what: str) -> ComparisonRefused:
    return ComparisonRefused(
        f"{what} of {graph.key.checkpoint} on “{graph.key.prompt[:200]}”: they are of other graphs. Trace "
        "the comparison again."
    )


def _with_edges(graph: AttributionGraph, other: AttributionGraph, weight: np.ndarray) -> AttributionGraph:
    if graph.is_whole:
        return graph
    source, target = only_kept_by(other, graph)
    if len(source) != len(weight):
        raise _of_others(graph, f"{len(weight)} weights are stored for {len(source)} edges")
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
