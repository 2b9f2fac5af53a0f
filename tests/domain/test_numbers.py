"""How numbers are written."""

import math

import pytest

from engine.domain.numbers import below, count, decimal, duration, percent, plural, share_of, signed, step_name


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.871, 2, "0.87"), (-1.2, 2, "−1.20"), (-0.0004, 3, "0.000"), (-0.0, 2, "0.00"), (12345.6, 1, "12,345.6"),
     (None, 2, "–"), (math.nan, 2, "–"), (math.inf, 2, "–"), (0.28500489, 2, "0.29"), (0.125, 2, "0.13"),
     (-2.5, 0, "−3"), (1e300, 0, f"{1e300:,.0f}")],
)  # fmt: skip
def test_a_decimal_has_a_true_minus_and_no_negative_zero(value: float | None, digits: int, text: str) -> None:
    assert decimal(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.50"), (-0.5, "−0.50"), (0.001, "0.00"), (-0.001, "0.00"), (None, "–")]
)
def test_a_signed_number_shows_its_sign_only_where_it_has_one(value: float | None, text: str) -> None:
    assert signed(value) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.82, 0, "82%"), (0.0, 0, "0%"), (1.0, 0, "100%"), (0.004, 0, "<1%"), (0.996, 0, ">99%"), (0.0004, 1, "<0.1%"),
     (0.9999, 1, ">99.9%"), (-0.25, 0, "−25%"), (None, 0, "–"), (0.125, 0, "13%"), (0.375, 0, "38%"),
     (0.995, 0, ">99%"), (1.5, 0, "150%")],
)  # fmt: skip
def test_a_share_never_reads_as_all_or_nothing_when_it_is_not(share: float | None, digits: int, text: str) -> None:
    assert percent(share, digits) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(1 / 8, 0, "13%"), (3 / 8, 0, "38%"), (29 / 200, 0, "15%"), (0.0125, 1, "1.3%"), (-1 / 8, 0, "−13%"),
     (1 / 3, 0, "33%"), (2 / 3, 1, "66.7%"), (0.005, 0, "1%")],
)  # fmt: skip
def test_of_two_whole_percentages_as_near_the_larger_is_said(share: float, digits: int, text: str) -> None:
    assert percent(share, digits) == text


def test_counts_durations_and_steps() -> None:
    assert (count(12345), plural(1, "run"), plural(2, "run"), plural(0, "analysis", "analyses")) == (
        "12,345", "1 run", "2 runs", "0 analyses",
    )  # fmt: skip
    assert [duration(s) for s in (0.2, 8.4, 89, 180, 5400, 7200)] == [
        "1 s", "8 s", "89 s", "3 min", "1.5 h", "2.0 h",
    ]  # fmt: skip
    assert [step_name(step) for step in (0, 75, 1500)] == ["base", "step 75", "step 1,500"]


def test_what_is_below_a_limit_never_reads_as_it() -> None:
    assert below(0.7996, 0.8) == "0.79"
    assert below(0.6451, 0.8) == "0.65"  # rounded as any number
    assert (below(0.8, 0.8), below(0.926, 0.8)) == ("0.80", "0.93")


def test_of_few_it_is_told_how_many() -> None:
    assert [share_of(share, 4) for share in (0.0, 0.5, 1.0)] == ["0 of 4", "2 of 4", "4 of 4"]
    assert (share_of(7 / 29, 29), share_of(0.5, 30), share_of(0.5, 30, decimal)) == ("7 of 29", "50%", "0.50")
    assert [share_of(nothing, 0) for nothing in (None, math.nan)] == ["–", "–"]
