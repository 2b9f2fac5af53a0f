"""Figures with their 95 % intervals: means, proportions, paired differences, rank correlations.

Closed formulas throughout: they need no random draws, and say something sensible of data that are all equal. A mean
of fewer than three values has no interval, one of none has no value; `side` calls both open.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from engine.analysis.curves import wilson
from engine.domain.studies import FindingFigure

LEAST_N = 5  # values that a figure must rest on before anything is said of it
_DIGITS = 5
_SPREAD_N = 3  # for an interval: that of two values is 13 times as wide as they lie apart
_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
# above, below: the whole interval lies beyond the null; same: all of it is within a margin of the null.
Side = Literal["above", "below", "same", "open"]


def mean_interval(
    name: str,
    values: "pd.Series[Any] | Sequence[float]",
    *,
    unit: str = "",
    bounds: tuple[float, float] | None = None,
) -> FindingFigure:
    """The mean with Student's t interval (n - 1 degrees of freedom); NaN are left out.

    `bounds`: where the quantity cannot lie beyond these, neither does its interval (an accuracy: 0 and 1).
    """
    kept = _finite(values)
    n = len(kept)
    if n == 0:
        return FindingFigure(name=name, value=None, n=0, unit=unit)
    mean = float(kept.mean())
    if n < _SPREAD_N:
        return _figure(name, mean, None, n, unit)
    # Means of equal values differ from them in the last digit: that is no spread.
    spread = 0.0 if np.ptp(kept) == 0 else float(kept.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)
    low, high = mean - half, mean + half
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return _figure(name, mean, (low, high), n, unit)


def proportion(name: str, n_true: int, n: int, *, unit: str = "") -> FindingFigure:
    """A share of n cases with Wilson's interval."""
    if n == 0:
        return FindingFigure(name=name, value=None, n=0, unit=unit)
    low, high = wilson(np.array([float(n_true)]), np.array([float(n)]))
    return _figure(name, n_true / n, (float(low[0]), float(high[0])), n, unit)


def paired_difference(name: str, left: "pd.Series[Any]", right: "pd.Series[Any]", *, unit: str = "") -> FindingFigure:
    """The mean of left - right over the index entries that both have a number for, as `mean_interval`.

    Both indexes must be unique: an entry is one pair (a run's two types, or a seed's two policies).
    """
    assert left.index.is_unique, "a pair has one left side"
    assert right.index.is_unique, "a pair has one right side"
    both = left.index.intersection(right.index)
    return mean_interval(name, (left.loc[both] - right.loc[both]).dropna(), unit=unit)


def rank_correlation(
    name: str,
    x: "pd.Series[Any]",
    y: "pd.Series[Any]",
    *,
    groups: "pd.Series[Any] | None" = None,
    unit: str = "",
) -> FindingFigure:
    """Spearman's rank correlation over the index entries that both have, with the interval of Bonett and Wright (2000):
    Fisher's z with variance (1 + r² / 2) / (n - 3).

    `groups`: within these only (index as `x`): the groups' z, weighted by the inverse of their variance. So methods
    that differ in both quantities make no correlation. Groups of fewer than five entries, or in which one quantity
    never varies, are left out; where nothing is left the value is None. `n` counts the entries that were used.
    """
    rows = pd.DataFrame({"x": x, "y": y}).dropna()
    label = pd.Series("", index=rows.index) if groups is None else groups.reindex(rows.index)
    parts = [part for _, part in rows.groupby(label, sort=True) if _can_be_ranked(part)]
    if not parts:
        return FindingFigure(name=name, value=None, n=0, unit=unit)
    z, variance = np.array([_fisher(part) for part in parts]).T
    weight = 1 / variance
    mean, half = float((z * weight).sum() / weight.sum()), _Z / math.sqrt(float(weight.sum()))
    # One group's coefficient is told as it is; only its interval is taken from the z that a perfect ranking is held to.
    value = _spearman(parts[0]) if len(parts) == 1 else math.tanh(mean)
    low, high = min(math.tanh(mean - half), value), max(math.tanh(mean + half), value)
    return _figure(name, value, (low, high), sum(map(len, parts)), unit)


def side(figure: FindingFigure, *, null: float = 0.0, margin: float = 0.0) -> Side:
    """Where the interval lies. Open: it holds the null and more than the margin about it, or n is below LEAST_N."""
    if figure.low is None or figure.high is None or figure.n < LEAST_N:
        return "open"
    if figure.low > null:
        return "above"
    if figure.high < null:
        return "below"
    return "same" if null - margin <= figure.low and figure.high <= null + margin else "open"


def _finite(values: "pd.Series[Any] | Sequence[float]") -> np.ndarray:
    array = np.asarray(values, dtype=float)  # (n,)
    return array[np.isfinite(array)]


def _figure(name: str, value: float, ends: tuple[float, float] | None, n: int, unit: str) -> FindingFigure:
    low, high = (None, None) if ends is None else (round(end, _DIGITS) for end in ends)
    return FindingFigure(name=name, value=round(value, _DIGITS), low=low, high=high, n=n, unit=unit)


def _can_be_ranked(part: pd.DataFrame) -> bool:
    return len(part) >= LEAST_N and part["x"].nunique() > 1 and part["y"].nunique() > 1


def _spearman(part: pd.DataFrame) -> float:
    return float(stats.spearmanr(part["x"], part["y"]).statistic)


def _fisher(part: pd.DataFrame) -> tuple[float, float]:
    """Fisher's z of the rank correlation, and its variance.

    The z of a perfect ranking is infinite. It is taken half a step lower: the next coefficient below 1 is the one with
    two neighbours exchanged, 1 - 12 / (n (n² - 1)).
    """
    n = len(part)
    most = 1 - 6 / (n * (n**2 - 1))
    r = min(most, max(-most, _spearman(part)))
    return math.atanh(r), (1 + r**2 / 2) / (n - 3)
