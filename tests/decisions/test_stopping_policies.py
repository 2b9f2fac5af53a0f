"""Each policy on runs of a few captures, worked by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from engine.decisions import STOPPING, stopping_named
from engine.domain.decisions import STOPPING_INFOS, Capture, DecisionSettings, Verdict
from engine.domain.errors import NotFound
from tests.decisions.conftest import A, B, reading, score, type_look

Run = Callable[..., tuple[Capture, ...]]
SETTINGS = DecisionSettings(patience=2)


def asked(policy: str, captures: tuple[Capture, ...], **changes: Any) -> Verdict:
    return STOPPING[policy](captures, SETTINGS.model_copy(update=changes))


def test_every_policy_that_a_form_shows_is_there() -> None:
    assert list(STOPPING) == list(STOPPING_INFOS)
    with pytest.raises(NotFound, match=r"“magic”.*loss_plateau"):
        stopping_named("magic")


@pytest.mark.parametrize("policy", list(STOPPING))
def test_with_little_known_none_stops_and_each_says_why(policy: str, run: Run) -> None:
    empty = Capture(step=25, smoothed_loss=None, scores=())
    retention = Capture(step=25, smoothed_loss=1.0, scores=(score(A, 3, kind="retention"),))
    none = Capture(step=25, smoothed_loss=1.0, scores=(score(A, 1, n=1).model_copy(update={"n": 0, "n_correct": 0}),))
    for captures in ((), (empty,), (empty,) * 5, (retention,) * 2, (none,) * 2):
        verdict = STOPPING[policy](captures, SETTINGS)
        assert not verdict.stop
        assert verdict.reason.endswith(".")


def test_none_never_stops(run: Run) -> None:
    assert not asked("none", run([None, *[1.0] * 9], [40] * 10, [0.0] * 10)).stop


def test_a_flat_loss(run: Run) -> None:
    # 1.00 → 0.99 is a drop of 1.0 %, 0.99 → 0.98 of 1.01 %: both below 2 %.
    verdict = asked("loss_plateau", run([None, 2.0, 1.00, 0.99, 0.98]))
    assert verdict.stop
    assert verdict.reason == (
        "The loss is flat: from 1 at step 50 to 0.98 at step 100. No checkpoint lowered it by 2.0%; the most was 1.0%."
    )


def test_a_loss_that_still_falls(run: Run) -> None:
    # 2.0 → 1.0 is a drop of a half; it is the older of the two in the window.
    verdict = asked("loss_plateau", run([None, 2.0, 1.0, 0.99]))
    assert not verdict.stop
    assert verdict.reason == "The loss still falls: by 50.0% to 1 at step 50. Flat is below 2.0%."


def test_a_drop_of_exactly_the_limit_is_not_flat(run: Run) -> None:
    # 1 - 3/4 is exactly 1/4
    assert not asked("loss_plateau", run([None, 4.0, 3.0]), patience=1, loss_drop=0.25).stop
    assert asked("loss_plateau", run([None, 4.0, 3.0]), patience=1, loss_drop=0.2501).stop


def test_a_rising_and_a_vanished_loss_are_flat(run: Run) -> None:
    assert asked("loss_plateau", run([None, 1.0, 1.5, 2.0])).stop
    assert asked("loss_plateau", run([None, 0.0, 0.0, 0.0])).stop


def test_a_loss_that_is_not_known_is_named(run: Run) -> None:
    assert "2 checkpoints with a loss so far, and 3" in asked("loss_plateau", run([None, 1.0, 1.0])).reason
    verdict = asked("loss_plateau", run([None, 1.0, None, 1.0]))
    assert not verdict.stop
    assert "the loss at step 50 is not known" in verdict.reason


def test_flat_probes(run: Run) -> None:
    # Wilson's 95 % interval of 40 of 40 is 0.912–1, of 38 of 40 is 0.835–0.986: they overlap.
    verdict = asked("probe_plateau", run([1.0] * 4, [4, 38, 40, 40]))
    assert verdict.stop
    assert verdict.saturated == (A, B)
    assert verdict.reason == (
        "The paraphrase probes are flat from step 25 to step 75 (their 95% intervals all overlap): "
        "simple mapping 40 of 40 right at step 75 and spatial relationship 40 of 40 right at step 75."
    )


def test_of_a_few_probes_nothing_is_told() -> None:
    captures = tuple(
        Capture(step=15 * k, smoothed_loss=1.0, scores=(score(A, right, n=4),)) for k, right in enumerate((0, 3, 2, 1))
    )
    found = asked("probe_plateau", captures)
    assert "as of fewer than 6 they nearly always do: with so few nothing can be told" in found.reason


def test_probes_that_move(run: Run) -> None:
    # 20 of 40 is 0.352–0.648, 40 of 40 begins at 0.912. The look is at the whole window, not at neighbours alone:
    # 30 of 40 (0.598–0.858) overlaps 20 of 40, 36 of 40 (0.769–0.960) overlaps 30 of 40, and 20 and 36 do not.
    told = ([20, 40, 40], "40 of 40 right at step 25"), ([20, 30, 36], "36 of 40 right at step 50")
    for right, end in told:
        verdict = asked("probe_plateau", run([1.0] * 3, right))
        assert not verdict.stop
        assert verdict.saturated == ()
        assert verdict.reason == (f"The paraphrase probes of simple mapping still move: 20 of 40 right at base, {end}.")


def test_one_type_that_moves_is_enough() -> None:
    captures = tuple(
        Capture(step=25 * k, smoothed_loss=1.0, scores=(score(A, 40), score(B, right)))
        for k, right in enumerate((0, 20, 40))
    )
    verdict = asked("probe_plateau", captures)
    assert not verdict.stop
    assert verdict.saturated == (A,)
    assert "spatial relationship" in verdict.reason
    short = asked("probe_plateau", captures[1:])
    assert short.reason == (
        "Too early to say whether the paraphrase probes are flat: 2 checkpoints so far, and 3 in a row are needed."
    )


def test_probes_of_another_kind_do_not_count() -> None:
    scores = (score(A, 40), score(A, 0, kind="recall"), score(B, 2, kind="retention"))
    captures = tuple(Capture(step=k, smoothed_loss=1.0, scores=scores) for k in range(3))
    verdict = asked("probe_plateau", captures)
    assert verdict.stop
    assert verdict.saturated == (A,)
    assert "There are no scores of inference probes" in asked("probe_plateau", captures, probe_kind="inference").reason


def test_a_capture_that_was_not_probed_is_named() -> None:
    scores = (score(A, 40),)
    captures = tuple(Capture(step=k, smoothed_loss=1.0, scores=() if k == 1 else scores) for k in range(3))
    verdict = asked("probe_plateau", captures)
    assert not verdict.stop
    assert "not measured at step 1" in verdict.reason


def test_circuits_that_have_settled(run: Run) -> None:
    # The floor is 0.3: no change at steps 50 and 75, and the probes of 25, 50, 75 overlap. Not one earlier.
    captures = run([1.0] * 4, [0, 40, 40, 40], [0.0, 0.9, 0.2, 0.1])
    assert not asked("circuit_saturation", captures[:3]).stop
    verdict = asked("circuit_saturation", captures)
    assert verdict.stop
    assert verdict.saturated == (A, B)
    assert verdict.reason == (
        "No circuit changed by more than the noise floor any more: simple mapping since step 50 (found at step 75) and "
        "spatial relationship since step 50 (found at step 75). A slow, steady drift also passes this rule."
    )


def test_circuits_that_still_move_or_fit_badly(run: Run) -> None:
    verdict = asked("circuit_saturation", run([1.0] * 4, [40] * 4, [0.0, 0.1, 0.1, 0.9])[1:])
    assert not verdict.stop
    assert "step 75" in verdict.reason
    assert "0.90" in verdict.reason
    bad = [type_look(name, 0.0, fit=0.1) for name in (A, B)]
    captures = tuple(
        one.model_copy(update={"reading": reading(one.step, *bad)}) for one in run([1.0] * 4, [40] * 4, [0.0] * 4)
    )
    assert not asked("circuit_saturation", captures).stop
    assert "0.10" in asked("circuit_saturation", captures).reason


def test_the_newest_capture_may_lack_its_look(run: Run) -> None:
    """While training it always does; what is said then is about the newest look there is."""
    captures = run([1.0] * 5, [0, 40, 40, 40, 40], [0.0, 0.9, 0.2, 0.1, None])
    assert asked("circuit_saturation", captures).stop
    earlier = asked("circuit_saturation", run([1.0] * 4, [40] * 4, [0.0, 0.1, 0.9, None]))
    assert not earlier.stop
    assert "step 50" in earlier.reason


def test_a_type_without_probes_of_the_kind_does_not_hold_up_the_rest(run: Run) -> None:
    captures = run([1.0] * 4, [40] * 4, [0.9, 0.0, 0.0, 0.0])
    more = tuple(
        one.model_copy(update={"scores": (*one.scores, score("other", 1, kind="retention"))}) for one in captures
    )
    assert asked("circuit_saturation", more).stop
