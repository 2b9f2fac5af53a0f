"""When a circuit has come to rest: by hand, and on series of circuits with a known change point."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from engine.analysis.prompt_circuits import PromptCircuit
from engine.analysis.readings import readings_of
from engine.analysis.run_changes import run_changes
from engine.analysis.saturation import rule_in_words, saturation
from engine.domain.corpus import Probe
from engine.domain.decisions import Capture, CircuitReading, DecisionSettings, TypeReading, TypeScore
from engine.domain.measures import Change
from tests.analysis.circuit_makers import SIMPLE, SPATIAL, around, prompts, random_circuit

SETTINGS = DecisionSettings(patience=3)
STEPS = tuple(range(0, 301, 25))


def score(n_correct: int, *, n: int = 40, constraint_type: str = SIMPLE) -> TypeScore:
    return TypeScore(constraint_type=constraint_type, probe_kind="paraphrase", n=n, n_correct=n_correct, mean_p=0.5)


def capture(
    step: int, n_correct: int, value: float | None = 0.1, *, edge: float | None = 0.2, fit: float = 0.9, n: int = 40
) -> Capture:
    """`value`: of the change; None: no circuits were traced."""
    change = {"influence": Change(value=value, low=0.9 * value, high=1, edge=edge)} if value is not None else {}
    reading = TypeReading(constraint_type=SIMPLE, n_prompts=4, fit=fit, lowest_fit=fit, change=change)
    return Capture(
        step=step,
        smoothed_loss=1.0,
        scores=(score(n_correct, n=n),),
        reading=None if value is None else look_of(step, reading),
    )


def look_of(step: int, *types: TypeReading) -> CircuitReading:
    return CircuitReading(step=step, transcoders="", transcoders_hash="", refreshed=False, types=types, trace_s=0)


def test_by_hand():
    """Patience 3: no change from 100 to 150. At 150 the captures 75 to 150 all score 36 to 38 of 40, whose intervals
    overlap; the change into 75 is above the noise, those into 100, 125 and 150 are not."""
    captures = [capture(0, 4, 0.9), capture(25, 12, 0.9), capture(50, 30, 0.9), capture(75, 36, 0.5)]
    captures += [capture(100, 38, 0.2), capture(125, 37, 0.1), capture(150, 38, 0.1), capture(175, 38, 0.9)]
    found = saturation(captures, SETTINGS)[SIMPLE]
    assert (found.step, found.since) == (150, 100)
    assert found.reason == (
        "No change above the noise floor from step 100 to step 150: at most 0.20 from one checkpoint to the next "
        "(influence of nodes), where the floor is 0.20. The paraphrase score was between 90% and 95%."
    )
    before = saturation(captures[:6], SETTINGS)[SIMPLE]
    assert (before.step, before.since) == (None, None)
    assert (
        before.reason == "At step 75 the circuit changed by 0.50 (influence of nodes), above the noise floor of 0.20."
    )
    assert saturation(captures, SETTINGS.model_copy(update={"patience": 4}))[SIMPLE].step is None
    assert saturation(captures, SETTINGS.model_copy(update={"patience": 1}))[SIMPLE].step == 100


def test_a_slow_steady_drift_passes_the_rule_and_the_rule_says_so():
    """After 25 every step changes the circuit by 0.19, just below the floor of 0.2: together by far more than it."""
    captures = [capture(25, 40, 0.9), *(capture(step, 40, 0.19) for step in range(50, 325, 25))]
    assert saturation(captures, SETTINGS)[SIMPLE].step == 100
    assert rule_in_words(SETTINGS) == (
        "Rule: at least one circuit change above the noise floor, then 3 checkpoints in a row without one, while the "
        "95% intervals of the paraphrase scores all overlap. A slow, steady drift also passes this rule."
    )


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (capture(100, 40, None), "no circuits were traced"),
        (capture(100, 40, fit=0.71), r"replacement score is 0\.71, below 0\.8: .*Train transcoders"),
        (capture(100, 40, edge=None), "noise floor could not be measured.*at least two prompts"),
        (capture(100, 40, 0.21), r"changed by 0\.21"),
        (capture(100, 4), "From step 25 to step 100 the paraphrase score still moved between 10% and 100%"),
        (capture(100, 1, n=20), "the paraphrase score still moved between 1 of 20 and 100%"),
        (capture(100, 40, n=0), "Not every checkpoint has paraphrase probes"),
    ],
)
def test_what_keeps_it_from_being_saturated(last, reason):
    quiet = [capture(25, 40, 0.9), capture(50, 40), capture(75, 40)]
    assert saturation([*quiet, capture(100, 40)], SETTINGS)[SIMPLE].step == 100
    found = saturation([*quiet, last], SETTINGS)[SIMPLE]
    assert found.step is None
    assert re.search(reason, found.reason)


@pytest.mark.parametrize(
    "first",
    [
        capture(25, 40, 0.1),
        capture(25, 40, 0.21),  # its interval begins at 0.189, within the noise: not surely a change
        capture(25, 40, 0.9, fit=0.7),
        capture(25, 40, None),
    ],
)
def test_a_circuit_that_never_surely_changed_has_not_formed(first):
    found = saturation([first, capture(50, 40), capture(75, 40), capture(100, 40)], SETTINGS)[SIMPLE]
    assert found.step is None
    assert "it may not have formed" in found.reason


def test_rest_before_a_circuit_forms_does_not_count():
    """Quiet from the start with flat scores; it forms at 125; from 150 it is at rest: saturated at 200."""
    captures = [capture(step, 8) for step in (0, 25, 50, 75, 100)]
    captures += [capture(125, 36, 0.8), capture(150, 38), capture(175, 38), capture(200, 38)]
    found = saturation(captures, SETTINGS)[SIMPLE]
    assert (found.step, found.since) == (200, 150)


def test_scores_are_those_of_the_probe_kind():
    captures = [capture(step, 40) for step in (0, 25, 50, 75)]
    found = saturation(captures, SETTINGS.model_copy(update={"probe_kind": "inference"}))[SIMPLE]
    assert found.step is None
    assert "inference" in found.reason


def test_the_measure_is_the_settings():
    captures = [capture(step, 40) for step in (0, 25, 50, 75)]
    found = saturation(captures, SETTINGS.model_copy(update={"measure": "edge_jaccard"}))[SIMPLE]
    assert found.step is None
    assert "no change to judge" in found.reason


def test_too_few_captures_say_how_many_are_needed():
    found = saturation([capture(0, 40)], SETTINGS)[SIMPLE]
    assert found.reason == "4 checkpoints, the base included, are needed, and there is 1."
    assert saturation([], SETTINGS) == {}


def test_each_type_for_itself():
    captures = [
        Capture(
            step=step,
            smoothed_loss=1,
            scores=(score(40), score(40, constraint_type=SPATIAL)),
            reading=look_of(
                step, *(one.reading.types[0] for one in [capture(step, 40, 0.1 if step else 0.9)] if one.reading)
            ),
        )
        for step in (0, 25, 50, 75)
    ]
    found = saturation(captures, SETTINGS)
    assert {name: one.step for name, one in found.items()} == {SIMPLE: 75, SPATIAL: None}
    assert "no circuits" in found[SPATIAL].reason


Maker = Callable[[int, Probe, np.random.Generator], PromptCircuit]


def series(make: Maker, *, seed: int, n_correct: Callable[[int], int]) -> tuple[Capture, ...]:
    """Captures as they come of whole runs: circuits of 8 prompts at every step, compared, and judged afterwards."""
    rng = np.random.default_rng(seed)
    circuits = {step: [make(place, own, rng) for own in prompts(4)] for place, step in enumerate(STEPS)}
    readings = readings_of(STEPS, run_changes(circuits))
    return tuple(
        Capture(step=step, smoothed_loss=None, scores=(score(n_correct(place)),), reading=readings[step])
        for place, step in enumerate(STEPS)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("settled", [4, 7])
def test_a_known_change_point_is_found(seed, settled):
    """Another circuit at every capture up to `settled`, from there the same one with noise between prompts."""

    def make(place: int, own: Probe, rng: np.random.Generator) -> PromptCircuit:
        return around(own, 1000 * seed + min(place, settled), rng, jitter=0.15)

    captures = series(make, seed=seed, n_correct=lambda place: min(40, 10 + 30 * place // settled))
    found = saturation(captures, SETTINGS)[SIMPLE]
    assert found.since is not None
    assert abs(STEPS.index(found.since) - settled) <= 1
    assert found.step == STEPS[STEPS.index(found.since) + 2]


@pytest.mark.parametrize("seed", range(4))
def test_a_series_that_never_settles_is_never_saturated(seed):
    def make(place: int, own: Probe, rng: np.random.Generator) -> PromptCircuit:
        return around(own, 1000 * seed + place, rng, jitter=0.15)

    found = saturation(series(make, seed=seed, n_correct=lambda _: 40), SETTINGS)[SIMPLE]
    assert found.step is None
    assert "the circuit changed by" in found.reason


@pytest.mark.parametrize("seed", range(2))
def test_fresh_random_graphs_do_not_saturate(seed):
    """Where all prompts of a step share one random graph, the change is seen. Where each prompt has its own, prompts
    differ as much as steps do: no change is ever surely outside the noise, so nothing has formed."""

    def alike(place: int, own: Probe, _rng: np.random.Generator) -> PromptCircuit:
        return random_circuit(1000 * seed + place, own)

    found = saturation(series(alike, seed=seed, n_correct=lambda _: 40), SETTINGS)[SIMPLE]
    assert found.step is None
    assert "the circuit changed by" in found.reason

    def apart(_place: int, own: Probe, rng: np.random.Generator) -> PromptCircuit:
        return random_circuit(int(rng.integers(2**32)), own)

    found = saturation(series(apart, seed=seed, n_correct=lambda _: 40), SETTINGS)[SIMPLE]
    assert found.step is None
    assert "it may not have formed" in found.reason


def test_badly_fitting_graphs_do_not_saturate_and_say_so():
    def make(_place: int, own: Probe, rng: np.random.Generator) -> PromptCircuit:
        return around(own, 1, rng, fit=0.6)

    found = saturation(series(make, seed=0, n_correct=lambda _: 40), SETTINGS)[SIMPLE]
    assert found.step is None
    assert "replacement score is 0.60" in found.reason


def test_learning_rate_0_changes_nothing():
    """The same graphs at every step: no change at all, so none above the noise; and flat scores from the start."""

    def make(_place: int, own: Probe, _rng: np.random.Generator) -> PromptCircuit:
        return random_circuit(len(own.id), own)

    captures = series(make, seed=0, n_correct=lambda _: 8)
    changes = [c for one in captures[1:] if one.reading for c in one.reading.types[0].change.values()]
    assert len(changes) == 4 * (len(STEPS) - 1)
    assert all(c.value == c.high == 0 and c.said == "within" for c in changes)
    found = saturation(captures, SETTINGS)[SIMPLE]
    assert found.step is None
    assert "it may not have formed" in found.reason
