"""Means of few values."""

import math

import pytest

from engine.analysis.means import student

NAN = math.nan


def test_the_interval_is_students():
    # 1, 2, 3: spread 1, t with 2 degrees of freedom 4.3027
    assert student([1, 2, 3]) == pytest.approx((2, 2 - 4.30265 / math.sqrt(3), 2 + 4.30265 / math.sqrt(3)), abs=1e-4)


def test_it_stays_within_what_can_be():
    assert student([0.9, 1.0, 1.0], bounds=(0, 1))[2] == 1
    assert student([0.1, 0.0, 0.0], bounds=(0, 1))[1] == 0


def test_what_is_no_number_does_not_count():
    assert student([1, NAN, 2, 3, math.inf]) == student([1, 2, 3])


def test_too_few_have_no_interval_and_none_no_mean():
    assert student([1, 2]) == pytest.approx((1.5, NAN, NAN), nan_ok=True)
    assert student([NAN]) == pytest.approx((NAN, NAN, NAN), nan_ok=True)


def test_equal_values_have_no_spread():
    assert student([0.1] * 7) == (pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))
    mean, low, high = student([0.1] * 7)
    assert low == mean == high
