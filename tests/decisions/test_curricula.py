"""What the next steps are trained on, worked by hand."""

from collections.abc import Callable

import pytest

from engine.decisions import CURRICULA, curriculum_named
from engine.decisions.curricula.shares import shares
from engine.domain.decisions import CURRICULUM_INFOS, Capture, DecisionSettings
from engine.domain.errors import NotFound
from tests.decisions.conftest import A, B, reading, score, type_look

Run = Callable[..., tuple[Capture, ...]]
SETTINGS = DecisionSettings()


def weights(policy: str, *captures: Capture) -> dict[str, float]:
    return CURRICULA[policy](captures, SETTINGS)


def seen(*types: object, step: int = 0) -> Capture:
    return Capture(step=step, smoothed_loss=1.0, scores=(), reading=reading(step, *types))  # type: ignore[arg-type]


def scored(**right: int) -> Capture:
    return Capture(step=0, smoothed_loss=1.0, scores=tuple(score(name, n) for name, n in right.items()))


def test_every_policy_that_a_form_shows_is_there() -> None:
    assert list(CURRICULA) == list(CURRICULUM_INFOS)
    with pytest.raises(NotFound, match=r"“magic”.*circuit_change"):
        curriculum_named("magic")


@pytest.mark.parametrize("policy", list(CURRICULA))
def test_before_anything_is_known_it_is_even(policy: str) -> None:
    unknown = Capture(step=0, smoothed_loss=None, scores=(score(A, 3, kind="retention"),))
    for captures in ((), (unknown,), (unknown.model_copy(update={"reading": reading(0)}),)):
        assert CURRICULA[policy](captures, SETTINGS) == {}


def test_uniform_stays_even(run: Run) -> None:
    assert CURRICULA["uniform"](run([1.0] * 3, [1, 2, 3], [0.1, 0.2, 0.3]), SETTINGS) == {}


def test_what_is_not_known_is_sampled_more() -> None:
    # wrong: 10 of 40 and 30 of 40, that is 1/4 and 3/4, which sum to 1
    assert weights("under_learned", scored(a=40), scored(a=30, b=10)) == pytest.approx({"a": 0.25, "b": 0.75})


def test_what_is_known_keeps_a_share() -> None:
    # Two types, even share 1/2, of which a fifth: 0.1.
    assert weights("under_learned", scored(a=40, b=20)) == pytest.approx({"a": 0.1, "b": 0.9})
    assert weights("under_learned", scored(a=40, b=40)) == {"a": 0.5, "b": 0.5}


def test_where_circuits_still_move() -> None:
    # 0.5 - 0.3 = 0.2 and 0.9 - 0.3 = 0.6 above the noise: a quarter and three quarters
    one = seen(type_look(A, 0.5), type_look(B, 0.9))
    assert weights("circuit_change", one) == pytest.approx({A: 0.25, B: 0.75})
    # the newest look counts, also where the newest capture has none yet
    unseen = Capture(step=2, smoothed_loss=1.0, scores=())
    quiet = seen(type_look(A, 0.1), type_look(B, 0.3), step=1)
    assert weights("circuit_change", one, quiet, unseen) == {A: 0.5, B: 0.5}


def test_a_type_that_cannot_be_told_counts_as_the_mean() -> None:
    # 0.2 and 0.6 above the noise, mean 0.4; sum 1.2: a sixth, a half, a third
    for unclear in (type_look("c", 0.9, edge=None), type_look("c", 0.9, fit=0.1)):
        found = weights("circuit_change", seen(type_look(A, 0.5), type_look(B, 0.9), unclear))
        assert found == pytest.approx({A: 1 / 6, B: 1 / 2, "c": 1 / 3})
    assert weights("circuit_change", seen(type_look(A, 0.5, edge=None))) == {}


def test_shares_worked_by_hand() -> None:
    # Three types, least 0.3 / 3 = 0.1. In proportion 0.01, 0.09, 0.9: the first two are lifted, 0.8 is left.
    assert shares({"a": 1, "b": 9, "c": 90}, least_share=0.3) == pytest.approx({"a": 0.1, "b": 0.1, "c": 0.8})
    # 0.02, 0.1, 0.88: b is not below at first, but is once a is lifted (0.1 x 0.9 / 0.98 = 0.092).
    assert shares({"a": 2, "b": 10, "c": 88}, least_share=0.3) == pytest.approx({"a": 0.1, "b": 0.1, "c": 0.8})
    assert shares({"a": 1.0}, least_share=0.2) == {"a": 1.0}
    assert shares({}, least_share=0.2) == {}


@pytest.mark.parametrize("least", [1e-9, 0.2, 0.5, 1 - 1e-16, 1.0])
def test_shares_always_sum_to_one_and_none_is_too_small(least: float) -> None:
    for needs in ([0.0, 0.0], [5e-324, 0.0], [1e300, 1.0, 1e-300], [0.3] * 7, [1.0, 2.0, 4.0, 8.0, 16.0, 0.0]):
        found = shares({f"t{i}": need for i, need in enumerate(needs)}, least_share=least)
        assert sum(found.values()) == pytest.approx(1)
        assert min(found.values()) >= least / len(needs) * (1 - 1e-9)
        ordered = [found[f"t{i}"] for i in range(len(needs))]
        assert all(x <= y + 1e-12 for i, x in enumerate(ordered) for j, y in enumerate(ordered) if needs[i] <= needs[j])
