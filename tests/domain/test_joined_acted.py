"""Several measured stretches as one course."""

from dataclasses import replace

import numpy as np
import pytest

from engine.domain.acted import Acted, joined
from tests.acted_means import measured, parts, probe


def piece(labels: tuple[str, ...], *stretches: np.ndarray, before: float = 1.0) -> Acted:
    acted = measured(probe("blarf"), *stretches, before=before)[1]
    key = acted.key.model_copy(update={"checkpoints": labels, "hashes": tuple(f"h{label}" for label in labels)})
    return Acted(key, acted.tokens, acted.words, acted.is_said, acted.n_layers, acted.effects, acted.stretches)


def test_a_chain_is_one_course() -> None:
    first, second = piece(("a", "b"), parts(w=2.0)), piece(("b", "c", "d"), parts(e=3.0), parts(n=1.0), before=3.0)
    whole = joined([first, second])
    assert whole.key.checkpoints == ("a", "b", "c", "d")
    assert whole.key.hashes == ("ha", "hb", "hc", "hd")
    assert (whole.before, whole.after, whole.sum, whole.left) == pytest.approx((1.0, 7.0, 6.0, 0.0))
    assert whole.places().sum(0).tolist() == [0.0, 0.0, 1.0, 0.0, 2.0, 3.0]
    assert joined([first]).key == first.key


def test_what_is_no_chain_is_refused() -> None:
    first = piece(("a", "b"), parts(w=2.0))
    with pytest.raises(ValueError, match="no chain"):
        joined([first, piece(("c", "d"), parts(w=2.0))])
    other = piece(("b", "c"), parts(w=2.0))
    remade = Acted(
        other.key.model_copy(update={"hashes": ("new", "hc")}), other.tokens, other.words, other.is_said,
        other.n_layers, None, other.stretches,
    )  # fmt: skip
    with pytest.raises(ValueError, match="no chain"):
        joined([first, remade])


@pytest.mark.parametrize(
    ("n_points", "left", "is_alone"),
    [
        (4, 0.004, True),  # of 0.5, a hundredth may be left; it was so exact at once
        (4, 0.008, False),
        (8, 0.004, False),  # for both stretches, 0.01 * 2.25 may: it may have been enough before it was by itself
    ],
)
def test_a_stretch_of_several_is_one_by_itself_where_that_is_no_more_exact(
    n_points: int, left: float, *, is_alone: bool
) -> None:
    whole = piece(("a", "b", "c"), parts(w=4.0), parts(w=0.5 - left))
    long, short = whole.stretches
    short = replace(short, after=short.before + 0.5, n_points=n_points)
    whole = replace(whole, is_said=True, stretches=(replace(long, n_points=8), short))
    first, second = whole.alone(0), whole.alone(1)
    assert first is not None  # its own change, the largest, decided
    assert (first.key, first.is_said, first.stretches[0].after) == (whole.key.stretches[0], False, long.after)
    assert (second is not None) == is_alone
    if second is not None:
        assert (second.key.checkpoints, second.key.hashes) == (("b", "c"), ("hb", "hc"))
        assert second.stretches == (short,)
