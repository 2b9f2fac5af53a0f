"""Means over few values, such as the seeds of a run, with their 95% intervals."""

import math
from collections.abc import Iterable

import numpy as np
from scipy import stats

_SPREAD_N = 3  # for an interval: that of two values is 13 times as wide as they lie apart


def student(
    values: Iterable[float], *, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, float, float]:
    """Mean, low and high of Student's t interval, which is cut at `bounds`; values that are not finite are left out.

    NaN where there are too few: no values for a mean, fewer than three for an interval.
    """
    kept = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    if not len(kept):
        return math.nan, math.nan, math.nan
    mean = float(kept.mean())
    if len(kept) < _SPREAD_N:
        return mean, math.nan, math.nan
    # Means of equal values differ from them in the last digit: that is no spread.
    spread = 0.0 if np.ptp(kept) == 0 else float(kept.std(ddof=1))
    half = float(stats.t.ppf(0.975, len(kept) - 1)) * spread / math.sqrt(len(kept))
    return mean, max(bounds[0], mean - half), min(bounds[1], mean + half)
