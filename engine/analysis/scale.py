"""How what enters the outputs changed: by one factor, which is no change of a circuit, or in many small parts."""

import numpy as np

_ONE_FACTOR = 0.05  # how near to the factor counts as grown by it


def common_scale(a: np.ndarray, b: np.ndarray) -> float:
    """The factor by which most of what enters the outputs grew from A to B, and 1 where there is no such factor.

    a, b: (n,) signed. It is the weighted median of b / a where both have one sign, and counts only if at least half of
    what enters, in A and in B, is within 5 % of it. From B to A it is one over that from A to B.
    """
    both = a * b > 0
    if not both.any():
        return 1.0
    ratio = np.log(b[both] / a[both])
    size = np.sqrt(a[both] * b[both])
    scale = _weighted_median(ratio, size)
    near = np.abs(ratio - scale) <= np.log1p(_ONE_FACTOR)
    agree = all(np.abs(side[both][near]).sum() >= np.abs(side).sum() / 2 for side in (a, b))
    return float(np.exp(scale)) if agree else 1.0


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Where half of the weight lies below and half above; in the middle where that is between two values."""
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[order])
    low, high = (np.searchsorted(reached, reached[-1] / 2, side=side) for side in ("left", "right"))
    last = len(values) - 1
    return float(values[min(low, last)] + values[min(high, last)]) / 2


def among_the_largest(changes: np.ndarray) -> float:
    """The smallest of the largest changes (n,) that together make up half of their sum; 0 where there are none."""
    ranked = np.sort(changes)[::-1]
    place = int(np.searchsorted(ranked.cumsum(), 0.5 * ranked.sum()))
    return float(ranked[place]) if ranked.any() else 0.0
