"""How much of what the whole model does is left with a circuit alone, and how much without it."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel

from engine.analysis.components.normalised import normalised
from engine.analysis.components.pruning import n_nodes, pruned
from engine.analysis.components.selection import n_of_share, top_edges
from engine.components.pairs import TokenPairs
from engine.components.patched import run_circuits
from engine.domain.components import Circuit, ComponentShape, CurvePoint
from engine.domain.edge_measures import Metric
from engine.domain.jobs import CancelToken, Report
from engine.domain.measures import Estimate


def faithfulness_curve(
    model: PreTrainedModel,
    pairs: TokenPairs,
    scores: np.ndarray,
    shape: ComponentShape,
    shares: Sequence[float],
    metric: Metric,
    *,
    report: Report | None = None,
    cancel: CancelToken | None = None,
) -> tuple[CurvePoint, ...]:
    """A point for each share of all edges: the largest |score|, then pruned. Nothing left is a circuit, too: the
    corrupted run.

    Raises InputError for a share outside (0, 1] and for scores of another model, Canceled between runs.
    """
    circuits = [pruned(top_edges(scores, shape, n_of_share(shape, share))) for share in shares]
    return circuit_points(model, pairs, list(zip(shares, circuits, strict=True)), metric, report=report, cancel=cancel)


def circuit_points(
    model: PreTrainedModel,
    pairs: TokenPairs,
    circuits: Sequence[tuple[float, Circuit]],
    metric: Metric,
    *,
    report: Report | None = None,
    cancel: CancelToken | None = None,
) -> tuple[CurvePoint, ...]:
    """A point for each circuit, which stands for a share of all edges and is run as it is.

    Raises InputError for circuits of another model or no pairs, Canceled between runs.
    """
    chosen = [circuit for _, circuit in circuits]
    complements = [Circuit(circuit.shape, circuit.shape.edge_mask() & ~circuit.edges) for circuit in chosen]
    found, clean, corrupted = run_circuits(model, pairs, [*chosen, *complements], metric, report=report, cancel=cancel)
    points = []
    for place, (share, circuit) in enumerate(circuits):
        without = normalised(found[len(chosen) + place], clean, corrupted)
        points.append(
            CurvePoint(
                share=share,
                n_asked=n_of_share(circuit.shape, share),
                n_edges=circuit.n_edges,
                n_nodes=n_nodes(circuit),
                faithfulness=normalised(found[place], clean, corrupted),
                completeness=None if without is None else _complement(without),
            )
        )
    return tuple(points)


def _complement(without: Estimate) -> Estimate:
    return Estimate(value=1 - without.value, low=1 - without.high, high=1 - without.low)
