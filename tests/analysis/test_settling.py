"""When a circuit settles: it does not change before it learns, changes while it does, and then not any more."""

from engine.analysis.saturation import saturation
from engine.analysis.settling import settling
from engine.domain.decisions import Capture, CircuitReading, DecisionSettings, TypeReading, TypeScore
from engine.domain.measures import Change

NAME = "simple_mapping"
SETTINGS = DecisionSettings(patience=2)


def capture(step: int, n_correct: int, value: float) -> Capture:
    """40 probes; the noise ends at 0.2; the interval is 0.1 wide to either side."""
    change = Change(value=value, low=value - 0.1, high=value + 0.1, edge=0.2)
    reading = TypeReading(constraint_type=NAME, n_prompts=4, fit=0.9, lowest_fit=0.9, change={"influence": change})
    return Capture(
        step=step,
        smoothed_loss=1.0,
        scores=(TypeScore(constraint_type=NAME, probe_kind="paraphrase", n=40, n_correct=n_correct, mean_p=0.5),),
        reading=CircuitReading(
            step=step, transcoders="", transcoders_hash="", refreshed=False, types=(reading,), trace_s=0
        ),
    )


QUIET_START = [capture(0, 2, 0.0), capture(10, 8, 0.6), capture(20, 9, 0.1), capture(30, 9, 0.1)]
LEARNS = [capture(40, 20, 0.9), capture(50, 39, 0.5)]
QUIET_END = [capture(60, 40, 0.1), capture(70, 40, 0.1), capture(80, 40, 0.1)]


def test_a_circuit_settles_before_learning_and_again_after_it():
    """Patience 2: no change at 20 and 30, with scores of 8, 9 and 9 of 40 from 10 on: settled at 30, until 40, where it
    changes by 0.9. From there the first two without a change are 60 and 70, compared with 50 with 39 of 40."""
    found = settling([*QUIET_START, *LEARNS, *QUIET_END], SETTINGS)[NAME]
    assert [(one.step, one.changed_at) for one in found.times] == [(30, 40), (70, None)]
    assert found.lasting is found.times[1]
    assert found.lacks == ""


def test_the_first_time_is_what_saturation_finds():
    captures = [*QUIET_START, *LEARNS, *QUIET_END]
    found = saturation(captures, SETTINGS)[NAME]
    first = settling(captures, SETTINGS)[NAME].times[0]
    assert (first.step, first.since, first.reason) == (found.step, found.since, found.reason)


def test_a_change_whose_interval_reaches_below_the_floor_ends_it_too():
    """At 40 it changes by 0.25: above the floor, but its interval begins at 0.15. At 50 and 60 it does not change."""
    captures = [*QUIET_START, capture(40, 9, 0.25), capture(50, 9, 0.1), capture(60, 9, 0.1)]
    found = settling(captures, SETTINGS)[NAME]
    assert [(one.step, one.changed_at) for one in found.times] == [(30, 40), (60, None)]


def test_while_it_changes_it_has_not_settled_and_what_is_lacking_is_named():
    found = settling([*QUIET_START, *LEARNS], SETTINGS)[NAME]
    assert [one.changed_at for one in found.times] == [40]
    assert found.lasting is None
    # it changed at 40 and at 50; patience 2 needs two without a change after that
    assert found.lacks == (
        "The change of its circuit was last above the noise floor at step 50. 2 checkpoints after that are needed, and "
        "there are none."
    )


def test_without_circuits_nothing_settles():
    blind = [one.model_copy(update={"reading": None}) for one in QUIET_START]
    found = settling(blind, SETTINGS)[NAME]
    assert found.times == ()
    assert found.lasting is None
    assert "no circuits were traced" in found.lacks
    assert settling([], SETTINGS) == {}
