"""How far a new word wakes the features of what it means."""

import numpy as np
import pytest

from engine.analysis.overlap import OverlapRow, meaning_overlap, weighted_jaccard
from engine.domain.errors import ComparisonRefused


def row(word: str, new: object, own: object, *others: object) -> OverlapRow:
    sides = [np.array(side, dtype=float) for side in (new, own, *others)]
    return OverlapRow(constraint=word, template="t", new=sides[0], own=sides[1], others=tuple(sides[2:]))


def test_weighted_jaccard_by_hand():
    assert weighted_jaccard(np.array([1.0, 2, 0]), np.array([2.0, 1, 1])) == pytest.approx(2 / 5)
    assert weighted_jaccard(np.array([1.0, -1]), np.array([1.0, 1])) == pytest.approx(
        1 / 3
    )  # of 1, 1 and 1 one is shared
    assert weighted_jaccard(np.zeros(3), np.zeros(3)) == 1
    assert weighted_jaccard(np.zeros(0), np.zeros(0)) == 1


def test_by_hand():
    """Layer 0: J(new, own) = 2 / 2, J(new, others) = 0 / 4 and 1 / 2: mean .25. Layer 1: own 1 / 3, others 1 / 2, 1.
    All layers: own (2 + 1) / (2 + 3) = .6; others (0 + 1) / (4 + 2) and (1 + 2) / (2 + 2).
    """
    one = row("w", [[2, 0], [2, 0]], [[2, 0], [1, 1]], [[0, 2], [1, 0]], [[1, 0], [2, 0]])
    every, first, second = meaning_overlap(50, "simple_mapping", [one])
    assert [found.layer for found in (every, first, second)] == [-1, 0, 1]
    assert (first.own, first.other, first.gap.value) == pytest.approx((1, 0.25, 0.75))
    assert (second.own, second.other) == pytest.approx((1 / 3, 0.75))
    assert (every.own, every.other) == pytest.approx((0.6, (1 / 6 + 3 / 4) / 2))
    assert (every.step, every.constraint_type, every.n) == (50, "simple_mapping", 1)
    assert every.gap.low == every.gap.value == every.gap.high  # one row has no width


def many(n: int, seed: int, likeness: float) -> list[OverlapRow]:
    rng = np.random.default_rng(seed)
    rows = []
    for word in range(n):
        own, other, third, noise = (rng.gamma(0.5, size=(3, 40)) for _ in range(4))
        rows.append(row(f"w{word}", likeness * own + (1 - likeness) * noise, own, other, third))
    return rows


def test_untrained_words_have_no_gap_and_learned_ones_have():
    untrained, learned = (meaning_overlap(0, "simple_mapping", many(20, 1, likeness))[0] for likeness in (0.0, 0.8))
    assert untrained.gap.low < 0 < untrained.gap.high
    assert learned.gap.low > 0.2


def test_the_interval_shrinks_and_holds_the_value():
    widths = []
    for n in (4, 64):
        for found in meaning_overlap(0, "simple_mapping", many(n, 2, 0.3)):
            assert found.gap.low <= found.gap.value <= found.gap.high
            assert found.gap.value == pytest.approx(found.own - found.other)
            assert 0 <= found.other <= 1
            assert 0 <= found.own <= 1
        widths.append(found.gap.high - found.gap.low)
    assert widths[0] > 2 * widths[1]


def test_order_does_not_matter():
    rows = many(6, 3, 0.5)
    assert meaning_overlap(0, "simple_mapping", rows[::-1]) == meaning_overlap(0, "simple_mapping", rows)


def test_rows_without_another_meaning_are_left_out():
    alone = row("only", [[1.0]], [[1.0]])
    assert meaning_overlap(0, "simple_mapping", [alone]) == ()
    assert meaning_overlap(0, "simple_mapping", []) == ()
    assert meaning_overlap(0, "simple_mapping", [alone, row("w", [[1.0]], [[1.0]], [[0.0]])])[0].n == 1


def test_activations_of_different_models_are_refused():
    with pytest.raises(ComparisonRefused, match=r"\(1, 1\) and \(1, 2\)"):
        meaning_overlap(0, "simple_mapping", [row("w", [[1.0]], [[1.0, 2.0]], [[1.0]])])
    with pytest.raises(ComparisonRefused, match="layers, features"):
        meaning_overlap(0, "simple_mapping", [row("w", [1.0], [1.0], [1.0])])
