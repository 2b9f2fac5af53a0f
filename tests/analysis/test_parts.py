"""What a change does to a logit, by what both graphs know."""

import numpy as np

from engine.analysis.parts import effect_of_change


def test_the_effect_of_a_change_takes_the_mean_of_what_both_graphs_know() -> None:
    found = effect_of_change(
        np.array([2.0, 2.0, -1.0, 3.0]), (np.array([1.0, 0.0, 4.0, 0.0]), np.array([3.0, 5.0, 0.0, 0.0]))
    )
    assert found.tolist() == [4.0, 10.0, -4.0, 0.0]
