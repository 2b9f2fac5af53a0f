"""What a ranking is worth, on places whose effects are known and add up."""

from collections.abc import Sequence

import numpy as np
import pytest

from engine.bench.ranked import RANDOM, Ranked, worths

EFFECTS = np.array([3.0, -1.0, 2.0, 0.5, 0.0, 0.25])  # in the direction of the change


def ranked(change: float) -> Ranked:
    own = np.sign(change) * EFFECTS

    def taken_back(groups: Sequence[Sequence[int]]) -> list[float]:
        return [float(own[list(group)].sum()) for group in groups]

    wrong = {"wrong": -own, "right": own}
    return Ranked(
        change=change, default="right", signed=wrong, unsigned={"size": np.abs(EFFECTS)}, taken_back=taken_back
    )


@pytest.mark.parametrize("change", [5.0, -5.0])
def test_the_right_ranking_takes_back_most(change: float) -> None:
    found = worths(ranked(change), (1, 2, 20), most_singles=99, seed=0)
    assert found["right"].correlation == pytest.approx(1)
    assert found["wrong"].correlation == pytest.approx(-1)
    assert found["right"].shares == pytest.approx({1: 3 / 5, 2: 5 / 5})  # there are no 20
    assert found["wrong"].shares == pytest.approx({1: -1 / 5, 2: -1 / 5})
    assert found["size"].shares[1] == pytest.approx(3 / 5)
    assert found["right"].shares[2] > found[RANDOM].shares[2]
    assert np.isnan(found[RANDOM].correlation)


def test_of_many_places_the_first_of_each_ranking_are_tried_and_some_at_random() -> None:
    tried: list[int] = []

    def taken_back(groups: Sequence[Sequence[int]]) -> list[float]:
        tried.extend(group[0] for group in groups if len(group) == 1)
        return [float(sum(group)) for group in groups]

    scores = {"up": np.arange(100.0), "down": -np.arange(100.0)}
    worths(
        Ranked(change=1.0, default="up", signed=scores, unsigned={}, taken_back=taken_back), (), most_singles=20, seed=0
    )
    assert len(tried) == len(set(tried)) == 20
    assert {99, 98, 97, 96, 95, 0, 1, 2, 3, 4} <= set(tried)
