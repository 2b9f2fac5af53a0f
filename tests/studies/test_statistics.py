"""Intervals against arithmetic by hand, against scipy, and against chance itself; degenerate data say nothing false."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from engine.domain.studies import FindingFigure
from engine.studies.statistics import mean_interval, paired_difference, proportion, rank_correlation, side


def test_a_mean_worked_by_hand() -> None:
    # 1, 2, 3, 4, 5: mean 3, standard deviation √2.5, t(4; 0.975) = 2.77645; half = 2.77645 · √2.5 / √5 = 1.96324
    found = mean_interval("x", [1, 2, 3, 4, 5], unit="steps")
    assert found == FindingFigure(name="x", value=3.0, low=1.03676, high=4.96324, n=5, unit="steps")


def test_numbers_that_are_not_there_are_not_counted() -> None:
    assert mean_interval("x", pd.Series([1.0, math.nan, 3.0])).n == 2
    assert mean_interval("x", []) == FindingFigure(name="x", value=None, n=0)
    assert mean_interval("x", [math.nan]) == FindingFigure(name="x", value=None, n=0)
    assert mean_interval("x", [2.0]) == FindingFigure(name="x", value=2.0, n=1)


def test_equal_values_have_an_interval_without_width_and_bounds_hold() -> None:
    # 0.1 + 0.1 + 0.1 is not 0.3 in floating point: no spread may come of that.
    found = mean_interval("x", [0.1] * 7)
    assert (found.value, found.low, found.high) == (0.1, 0.1, 0.1)
    assert mean_interval("x", [0, 1, 1, 1, 1, 1], bounds=(0.0, 1.0)).high == 1.0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    n = 1000
    mean = sum(_holds(mean_interval("x", rng.normal(3, 2, size=10)), 3) for _ in range(n))
    # Three standard deviations of a share of 0.95 among 1,000: 3 · √(0.95 · 0.05 / 1000) = 0.021
    assert mean / n == pytest.approx(0.95, abs=0.021)
    # Spearman's coefficient of two normal quantities with Pearson's ρ is 6/π · asin(ρ/2); the formula is approximate.
    rank = sum(_holds(_correlated(rng, 0.6), 6 / math.pi * math.asin(0.6 / 2)) for _ in range(n // 2))
    assert rank / n * 2 == pytest.approx(0.95, abs=0.03)


def _correlated(rng: np.random.Generator, rho: float) -> FindingFigure:
    x, noise = rng.normal(size=(2, 20))
    return rank_correlation("r", pd.Series(x), pd.Series(rho * x + math.sqrt(1 - rho**2) * noise))


def _holds(figure: FindingFigure, truth: float) -> bool:
    assert figure.low is not None
    assert figure.high is not None
    return figure.low <= truth <= figure.high


def test_a_share_of_nothing_and_of_all() -> None:
    none = proportion("x", 0, 10)
    # Wilson at 0 of 10: high = z² / (n + z²) = 3.8415 / 13.8415 = 0.27753
    assert (none.value, none.low, none.high) == (0.0, 0.0, pytest.approx(0.27753, abs=1e-5))
    assert proportion("x", 0, 0).value is None


def test_pairs_are_matched_by_their_index_not_by_their_place() -> None:
    left = pd.Series({"a": 3.0, "b": 5.0, "c": 1.0})
    right = pd.Series({"c": 0.0, "a": 1.0, "d": 9.0, "b": math.nan})
    found = paired_difference("x", left, right)
    assert (found.value, found.n) == (1.5, 2)  # a: 3 - 1, c: 1 - 0; b has no right side, d no left
    with pytest.raises(AssertionError):
        paired_difference("x", pd.Series([1.0, 2.0], index=["a", "a"]), right)


def test_a_rank_correlation_worked_by_hand() -> None:
    # Ranks 1 2 3 4 5 against 2 1 4 3 5: d² = 1 + 1 + 1 + 1 + 0, r = 1 - 6 · 4 / (5 · 24) = 0.8
    found = rank_correlation("r", pd.Series([1, 2, 3, 4, 5]), pd.Series([20, 10, 40, 30, 50]))
    # atanh 0.8 = 1.09861; ± 1.95996 · √((1 + 0.32) / 2) = 1.59230; tanh -0.49369 = -0.45718, tanh 2.69091 = 0.99084
    assert (found.value, found.low, found.high, found.n) == (
        0.8, pytest.approx(-0.45718, abs=1e-4), pytest.approx(0.99084, abs=1e-4), 5,
    )  # fmt: skip


def test_a_perfect_ranking_is_told_as_one_and_its_interval_is_wide_where_there_are_few() -> None:
    x = pd.Series([1, 2, 3, 4, 5])
    found = rank_correlation("r", x, x)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert found.low < 0.6
    many = rank_correlation("r", pd.Series(range(30)), -pd.Series(range(30)))
    assert (many.value, many.low) == (-1.0, -1.0)
    assert many.high is not None
    assert many.high < -0.99


def test_what_never_varies_or_is_too_few_has_no_correlation() -> None:
    x, same = pd.Series(range(8)), pd.Series([1.0] * 8)
    assert rank_correlation("r", x, same).value is None
    assert rank_correlation("r", same, x).value is None
    assert rank_correlation("r", x[:4], x[:4]) == FindingFigure(name="r", value=None, n=0)
    assert rank_correlation("r", x, pd.Series(dtype=float)).value is None


def test_within_groups_a_difference_of_the_groups_is_no_correlation() -> None:
    rng = np.random.default_rng(1)
    group = pd.Series(np.repeat(["a", "b"], 20))
    high = (group == "b") * 10.0
    x, y = high + rng.normal(size=40), high + rng.normal(size=40)
    across, within = rank_correlation("r", x, y), rank_correlation("r", x, y, groups=group)
    assert side(across) == "above"
    assert side(within) == "open"
    assert within.n == 40


def test_groups_without_variation_are_left_out_and_one_group_is_itself() -> None:
    rng = np.random.default_rng(2)
    x = pd.Series(rng.normal(size=20))
    y = pd.Series([0.0] * 10 + list(rng.normal(size=10)))
    group = pd.Series(["a"] * 10 + ["b"] * 10)
    within = rank_correlation("r", x, y, groups=group)
    assert within == rank_correlation("r", x[10:], y[10:])
    assert within.value == pytest.approx(stats.spearmanr(x[10:], y[10:]).statistic, abs=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "n", "said"),
    [
        (0.1, 0.3, 10, "above"),
        (-0.3, -0.1, 10, "below"),
        (-0.1, 0.1, 10, "same"),
        (-0.1, 0.3, 10, "open"),
        (0.1, 0.3, 4, "open"),
        (None, None, 9, "open"),
        (0.0, 0.0, 10, "same"),
    ],
)
def test_where_an_interval_lies(low: float | None, high: float | None, n: int, said: str) -> None:
    assert side(FindingFigure(name="x", value=0.1, low=low, high=high, n=n), margin=0.2) == said
