"""Rests of a circuit: quiet before it learns, moving while it does, quiet again."""

from engine.analysis.rests import rests
from engine.analysis.saturation import saturation
from engine.domain.decisions import Capture, DecisionSettings, Look, TypeLook, TypeScore
from engine.domain.measures import Change

NAME = "simple_mapping"
SETTINGS = DecisionSettings(patience=2)


def capture(step: int, n_correct: int, value: float) -> Capture:
    """40 probes; the noise ends at 0.2; the interval is 0.1 wide to either side."""
    change = Change(value=value, low=value - 0.1, high=value + 0.1, edge=0.2)
    look = TypeLook(constraint_type=NAME, n_prompts=4, fit=0.9, lowest_fit=0.9, change={"influence": change})
    return Capture(
        step=step,
        smoothed_loss=1.0,
        scores=(TypeScore(constraint_type=NAME, probe_kind="paraphrase", n=40, n_correct=n_correct, mean_p=0.5),),
        look=Look(step=step, transcoders="", transcoders_hash="", refreshed=False, types=(look,), trace_s=0),
    )


QUIET_START = [capture(0, 2, 0.0), capture(10, 8, 0.6), capture(20, 9, 0.1), capture(30, 9, 0.1)]
LEARNS = [capture(40, 20, 0.9), capture(50, 39, 0.5)]
QUIET_END = [capture(60, 40, 0.1), capture(70, 40, 0.1), capture(80, 40, 0.1)]


def test_a_rest_before_learning_ended_and_the_one_after_it_lasts():
    """Patience 2: quiet at 20 and 30, beside 10, with scores of 8, 9 and 9 of 40: a rest at 30, which ends at 40, where
    it changes by 0.9. From there the first two quiet captures are 60 and 70, beside 50 with 39 of 40."""
    found = rests([*QUIET_START, *LEARNS, *QUIET_END], SETTINGS)[NAME]
    assert [(rest.step, rest.moved_at) for rest in found.found] == [(30, 40), (70, None)]
    assert found.lasting is found.found[1]
    assert found.lacks == ""


def test_the_first_rest_is_what_saturation_says():
    captures = [*QUIET_START, *LEARNS, *QUIET_END]
    said = saturation(captures, SETTINGS)[NAME]
    first = rests(captures, SETTINGS)[NAME].found[0]
    assert (first.step, first.reason) == (said.step, said.reason)


def test_a_rest_after_a_change_that_is_not_sure_is_found_too():
    """At 40 it changes by 0.25: over the noise, but its interval from 0.15 reaches into it. 50 and 60 are quiet."""
    captures = [*QUIET_START, capture(40, 9, 0.25), capture(50, 9, 0.1), capture(60, 9, 0.1)]
    found = rests(captures, SETTINGS)[NAME]
    assert [(rest.step, rest.moved_at) for rest in found.found] == [(30, 40), (60, None)]


def test_while_it_moves_no_rest_lasts_and_what_is_lacking_is_told():
    found = rests([*QUIET_START, *LEARNS], SETTINGS)[NAME]
    assert [rest.moved_at for rest in found.found] == [40]
    assert found.lasting is None
    # it moved at 40 and at 50; patience 2 needs two quiet ones after that
    assert found.lacks == "Since it last moved, at step 50, there is 1 capture of the 3 that are needed."


def test_nothing_watched_is_no_rest():
    blind = [one.model_copy(update={"look": None}) for one in QUIET_START]
    found = rests(blind, SETTINGS)[NAME]
    assert found.found == ()
    assert found.lasting is None
    assert "no circuits were traced" in found.lacks
    assert rests([], SETTINGS) == {}
