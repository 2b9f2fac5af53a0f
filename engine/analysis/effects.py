"""What an attribution graph alone predicts for a change of features.

An edge's weight is the part of its target's value that its source writes with attention patterns, norm denominators
and the set of active features held (Ameisen et al. 2025). It grows in proportion to the source's activation: where
that changes by the fraction r, the target's value changes by weight x r. A feature's value is what its activation
function is given; while the feature stays active, its activation is that value, so

    change of a feature = Σ weight x r(source)        r(feature) = change / activation
    change of a logit   = Σ weight x r(source)

in the order of the layers. Encoder biases are part of the activation and do not change; tokens and errors have r = 0;
a feature that was set keeps its own r = factor - 1 whatever reaches it. A feature that the change would wake, or push
below zero, is beyond this rule: it is exact for small changes with everything held, and a first guess otherwise.
"""

from collections.abc import Sequence

import numpy as np

from engine.domain.graphs import AttributionGraph, NodeKind


def effect_of_change(change: np.ndarray, per_unit: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(n,) what a change (n,) from A to B does to an output, by both graphs: it times what a unit does, mean of both.

    Of features the change of activation, of edges that of weight; `per_unit`: of the feature, or of the edge's target,
    in each graph (`engine.analysis.parts.units`), (n,) each and 0 where the graph does not have it: then the other's
    alone counts. Of what stored graphs know this comes nearest to patching (`bench --only rankings`).
    """
    known = (per_unit[0] != 0).astype(float) + (per_unit[1] != 0)
    mean: np.ndarray = np.divide(per_unit[0] + per_unit[1], known, out=np.zeros(len(change)), where=known > 0)
    return change * mean


def predicted_effect(graph: AttributionGraph, features: Sequence[str], factor: float) -> np.ndarray:
    """(n_logits,) float64 change of the target logits (minus the mean logit, before any soft cap), in their order.

    `features`: ids of the nodes whose activation is multiplied by `factor`; ids that the graph does not have predict
    nothing. Of a graph stored with a cap on edges or features (`TraceSettings`) only the paths that were kept count.
    """
    wanted = set(features)
    fixed = np.array([node in wanted for node in graph.node_ids()], dtype=bool)
    fraction = np.where(fixed, factor - 1.0, 0.0)  # r of every node
    change = np.zeros(graph.n_nodes)
    weight = graph.weight.astype(np.float64)
    order = np.argsort(graph.layer[graph.target], kind="stable")  # sources lie in lower layers than their targets
    ends = np.searchsorted(graph.layer[graph.target][order], np.arange(graph.n_layers + 2))
    for layer in range(graph.n_layers + 1):
        edges = order[ends[layer] : ends[layer + 1]]
        parts = weight[edges] * fraction[graph.source[edges]]
        change += np.bincount(graph.target[edges], parts, minlength=graph.n_nodes)
        reached = (graph.kind == NodeKind.FEATURE) & (graph.layer == layer) & ~fixed & (graph.activation > 0)
        fraction[reached] = change[reached] / graph.activation[reached]
    return change[graph.kind == NodeKind.LOGIT]
