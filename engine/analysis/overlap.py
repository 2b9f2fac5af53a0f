"""How far a new word wakes the features of the word it means, against those of the other meanings.

Activations are taken where the answer is predicted. own = J(new word, what it means), other = mean of J(new word,
another meaning), J the weighted Jaccard, all in one checkpoint. Before training the gap own - other is near 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.resampling import bootstrap_counts, interval
from engine.domain.errors import ComparisonRefused
from engine.domain.measures import Estimate
from engine.domain.series import Overlap

N_BOOT = 1000
ALL_LAYERS = -1


@dataclass(frozen=True, eq=False)
class OverlapRow:
    """Feature activations at the last position of one phrasing with different words in its place."""

    constraint: str
    template: str
    new: np.ndarray  # (n_layers, n_features) with the new word
    own: np.ndarray  # the same with the word that it means
    others: tuple[np.ndarray, ...]  # the same with the other meanings of its type


def weighted_jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """sum of min over sum of max, positive and negative parts apart, so that opposite signs share nothing.

    1 where both are 0 everywhere. Any shape, the same for both.
    """
    parts = [(np.maximum(sign * a, 0), np.maximum(sign * b, 0)) for sign in (1, -1)]
    larger = sum(float(np.maximum(x, y).sum()) for x, y in parts)
    return sum(float(np.minimum(x, y).sum()) for x, y in parts) / larger if larger else 1.0


def meaning_overlap(
    step: int, constraint_type: str, rows: Sequence[OverlapRow], *, n_boot: int = N_BOOT, seed: int = 0
) -> tuple[Overlap, ...]:
    """One a layer, and one (layer -1, first) over all layers together; () where no row has another meaning.

    The interval of the gap is a percentile bootstrap over the rows (words x phrasings), whose order does not matter.
    Raises ComparisonRefused where rows are of different shapes.
    """
    used = sorted((row for row in rows if row.others), key=lambda row: (row.constraint, row.template))
    if not used:
        return ()
    _check(used)
    own = np.array([_by_layer(row.new, row.own) for row in used])  # (n_rows, 1 + n_layers)
    other = np.array([np.mean([_by_layer(row.new, one) for one in row.others], axis=0) for row in used])
    counts = bootstrap_counts(len(used), n_boot, seed)
    resampled = counts.T @ (own - other) / len(used)  # (n_boot, 1 + n_layers)
    found = []
    for place, layer in enumerate((ALL_LAYERS, *range(own.shape[1] - 1))):
        gap = float((own - other)[:, place].mean())
        low, high = interval(gap, resampled[:, place])
        found.append(
            Overlap(
                step=step,
                constraint_type=constraint_type,
                layer=layer,
                own=float(own[:, place].mean()),
                other=float(other[:, place].mean()),
                gap=Estimate(value=gap, low=low, high=high),
                n=len(used),
            )
        )
    return tuple(found)


def _by_layer(a: np.ndarray, b: np.ndarray) -> list[float]:
    """(1 + n_layers,) over all layers together, then by layer."""
    return [weighted_jaccard(a, b), *(weighted_jaccard(x, y) for x, y in zip(a, b, strict=True))]


def _check(rows: Sequence[OverlapRow]) -> None:
    shapes = sorted({side.shape for row in rows for side in (row.new, row.own, *row.others)})
    if len(shapes) > 1 or len(shapes[0]) != 2:
        raise ComparisonRefused(
            f"Activations of {' and '.join(map(str, shapes[:4]))} (layers, features) cannot be compared. "
            "Take all of them from one replacement model."
        )
