"""Every question on made studies whose truth is known: yes, no, partly, inconclusive."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.studies.made_tables import Run, grid
from tests.studies.truths import (
    Rng,
    Truth,
    ahead,
    controls,
    curriculum,
    figure,
    found,
    loss,
    many,
    stopping,
    tells,
    with_rules,
)

# 1. simple and spatial


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        (ahead(80), "yes"),
        (ahead(-80), "no"),
        (ahead(0, spread=4), "no"),  # the same within a capture
        (ahead(80, only=("lora",), spread=4), "partly"),
        (ahead(20, spread=120), "inconclusive"),
    ],
)
def test_learning_speed(truth: Truth, verdict: str) -> None:
    assert found("learning_speed", grid(truth)).verdict == verdict


def test_a_type_that_is_never_learned_counts_as_just_past_the_end_and_is_said() -> None:
    never = found("learning_speed", grid(lambda run, _: replace(run, reached=(100, 1000)), methods=["lora"]))
    # 300 steps, a capture every 25: 325 - 100 = 225 in each of the ten runs
    assert figure(never, "all methods").value == 225
    assert never.verdict == "yes"
    assert "10 of 10 runs never got there for spatial relationship" in never.evidence
    neither = found("learning_speed", grid(lambda run, _: replace(run, reached=(1000, 1000))))
    assert neither.verdict == "inconclusive"
    assert "nothing to compare" in neither.answer


# 2. saturation: the full run reaches 0.9 and its end at `reached`; a stop before it leaves something


NEVER = float("nan")


@pytest.mark.parametrize(
    ("stop", "verdict"),
    [
        (lambda rng: 225.0, "yes"),
        (lambda rng: 225.0 if rng.random() < 0.7 else NEVER, "partly"),
        (lambda rng: 75.0, "no"),  # accuracy there is 0.8 · 75 / 150 = 0.4 of 1.0
        (lambda rng: NEVER, "no"),
        (lambda rng: 225.0 if rng.random() < 0.9 else 75.0, "inconclusive"),
    ],
)
def test_saturation(stop: Callable[[Rng], float], verdict: str) -> None:
    runs = with_rules({"circuit_saturation": stop, "probe_plateau": lambda rng: 125.0})
    assert found("saturation", runs).verdict == verdict


def test_what_a_stop_leaves_worked_by_hand() -> None:
    finding = found(
        "saturation",
        with_rules({"circuit_saturation": lambda rng: 225.0, "loss_plateau": lambda rng: 75.0}),
    )
    assert figure(finding, "settled circuits").value == 0.0
    assert figure(finding, "flat loss").value == pytest.approx(0.6)  # 1 - 0.8 · 75 / 150
    assert figure(finding, "flat loss", "share, of stops that came too early").value == 1.0
    assert figure(finding, "flat loss", "share, of runs that were stopped").n == 30


def test_circuits_that_leave_no_less_than_the_probes_do_are_only_partly_an_answer() -> None:
    at = {"circuit_saturation": lambda rng: 225.0, "probe_plateau": lambda rng: 225.0}
    finding = found("saturation", with_rules(at))
    assert finding.verdict == "partly"
    assert "no surely better than waiting for flat probe scores alone" in finding.answer


def test_too_few_stops_tell_nothing() -> None:
    runs = with_rules({"circuit_saturation": lambda rng: 225.0}, n_seeds=1)
    assert found("saturation", runs).verdict == "inconclusive"  # three pairs


# 3. types


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (lambda run, rng: (100, 200), "yes"),
        (lambda run, rng: (100, 200) if run.method == "tokens" else (100, 100), "partly"),
        (lambda run, rng: (150, 150), "no"),
        (lambda run, rng: (rng.integers(1, 12) * 25, rng.integers(1, 12) * 25), "inconclusive"),
    ],
)
def test_types_differ(last: Callable[[Run, Rng], tuple[float, float]], verdict: str) -> None:
    finding = found("types_differ", grid(lambda run, rng: replace(run, last_change=last(run, rng))))
    assert finding.verdict == verdict


def test_the_last_change_is_a_captured_step() -> None:
    finding = found("types_differ", grid(lambda run, _: replace(run, last_change=(110, 200))))
    # 110 lies after the capture at 100: 200 - 100
    assert figure(finding, "all methods", "difference, in the step of the last change").value == 100
    # Four captures more at 0.6 instead of 0.05: 4 · 0.55
    assert figure(finding, "all methods", "difference, in the sum of all changes").value == pytest.approx(2.2)


def test_methods_that_change_the_other_way_are_told() -> None:
    def truth(run: Run, _: Rng) -> Run:
        return replace(run, last_change=(100, 200) if run.method != "tokens" else (200, 150))

    finding = found("types_differ", grid(truth))
    assert finding.verdict == "partly"
    assert "the methods do not agree" in finding.answer


def test_a_circuit_that_never_changed_counts_from_the_base() -> None:
    finding = found("types_differ", grid(lambda run, _: replace(run, last_change=(0, 100))))
    assert figure(finding, "LoRA", "difference, in the step of the last change").value == 100


# 4 and 8. prediction


@pytest.mark.parametrize(("truth", "verdict"), [(tells(1), "yes"), (tells(0, apart=2), "no"), (tells(0), "no")])
def test_prediction(truth: Truth, verdict: str) -> None:
    """Methods that lie apart predict nothing: only what holds within them counts."""
    finding = found("prediction", many(truth))
    assert finding.verdict == verdict
    assert {one.null for one in finding.figures} == {0.0}


def test_prediction_from_few_runs_cannot_be_told() -> None:
    finding = found("prediction", grid(tells(0.4), n_seeds=5, methods=["lora"]))
    assert finding.verdict == "inconclusive"


@pytest.mark.parametrize(("truth", "verdict"), [(tells(1), "yes"), (tells(0, apart=2), "no"), (tells(0), "no")])
def test_overlap(truth: Truth, verdict: str) -> None:
    assert found("overlap", many(truth)).verdict == verdict


def test_overlap_of_few_runs_cannot_be_told() -> None:
    assert found("overlap", grid(tells(0.3), n_seeds=6, methods=["lora"])).verdict == "inconclusive"


# 5. stopping


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (stopping(), "yes"),
        (stopping(loses=0.3), "no"),
        (stopping(waited_s=50.0), "no"),  # looks cost more than they save
        (stopping(at=300), "no"),  # nothing saved
        (stopping(spread=0.4), "inconclusive"),
    ],
)
def test_stopping(runs: list[Run], verdict: str) -> None:
    assert found("stopping", runs).verdict == verdict


def test_stopping_with_open_seconds_is_partly() -> None:
    rng = np.random.default_rng(0)
    runs = [
        replace(run, waited_s=float(10 + rng.normal() * 4)) if run.stopping != "none" else run for run in stopping()
    ]
    assert found("stopping", runs).verdict == "partly"  # some 10 s of waiting for 100 steps of 0.1 s


def test_costs_worked_by_hand() -> None:
    seconds = "difference, seconds saved"
    waiting = [
        replace(run, waited_s=3.0) if run.stopping != "none" else replace(run, waited_s=7.0) for run in stopping()
    ]
    finding = found("stopping", waiting)
    # 300 steps of 0.1 s (the waiting of a watched full run is not its own) against 200 of 0.1 s and 3 s of waiting.
    assert figure(finding, "settled circuits", seconds).value == pytest.approx(30 - 20 - 3)
    assert figure(finding, "settled circuits", "difference, steps saved").value == 100
    # Where runs without looks tell the pace of training alone (0.05 s a step), the full run's seconds are at that pace.
    probes = [
        replace(run, stopping="probe_plateau", watched=False, step_s=0.05, waited_s=0.0)
        for run in waiting
        if run.stopping != "none"
    ]
    finding = found("stopping", waiting + probes)
    assert figure(finding, "settled circuits", seconds).value == pytest.approx(15 - 20 - 3)
    assert figure(finding, "flat probe scores", seconds).value == pytest.approx(15 - 10)


# 6. curricula


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (curriculum(faster=100), "yes"),
        (curriculum(better=0.04), "yes"),
        (curriculum(), "no"),  # neither gains nor loses
        (curriculum(better=-0.3), "no"),
        (curriculum(spread=0.5), "inconclusive"),
    ],
)
def test_curriculum(runs: list[Run], verdict: str) -> None:
    assert found("curriculum", runs).verdict == verdict


# 7. loss


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [(loss(1, 1), "yes"), (loss(0, 1), "no"), (loss(0, -1), "no"), (loss(-1, 1), "no"), (loss(0, 0), "no")],
)
def test_loss(truth: Truth, verdict: str) -> None:
    assert found("loss", many(truth)).verdict == verdict


def test_losses_of_different_methods_are_not_compared() -> None:
    evidence = found("loss", grid()).evidence
    assert "not comparable: “New tokens only” leaves the output matrix frozen" in evidence


def test_loss_of_few_runs_cannot_be_told() -> None:
    assert found("loss", grid(loss(0.3, 0), n_seeds=6, methods=["lora"])).verdict == "inconclusive"


# 9. lookup


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        (lambda run, rng: replace(run, inference=1.0), "yes"),
        (lambda run, rng: replace(run, inference=1.0 if run.method == "tokens" else 0.0), "partly"),
        (lambda run, rng: replace(run, inference=0.02 * rng.random()), "no"),
        (lambda run, rng: replace(run, inference=0.8), "inconclusive"),  # four of five words
        (lambda run, rng: replace(run, inference=float(rng.random())), "inconclusive"),
    ],
)
def test_lookup(truth: Truth, verdict: str) -> None:
    assert found("lookup", grid(truth)).verdict == verdict


def test_the_interval_of_inference_is_over_words_however_many_seeds_there_are() -> None:
    """Five of five words: Wilson's interval is 0.57 to 1."""
    finding = found("lookup", grid(lambda run, _: replace(run, inference=1.0 if run.method == "tokens" else 0.0)))
    assert "“New tokens only” clearly learns" in finding.answer
    one = figure(finding, "New tokens only", "inference accuracy, simple mapping")
    assert (one.n, one.null, one.low, one.high) == (5, 0.5, pytest.approx(0.566, abs=0.001), 1.0)
    assert len([one for one in finding.figures if one.drawn]) == 6
    over_runs = figure(finding, "New tokens only", "inference accuracy, simple mapping (over runs)")
    assert (over_runs.n, over_runs.drawn) == (10, False)


# 10. controls


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (controls(), "yes"),
        (controls(learned=0.9), "partly"),
        (controls(changed=True), "partly"),
        (controls(learned=0.9, changed=True), "no"),
    ],
)
def test_controls(runs: list[Run], verdict: str) -> None:
    finding = found("controls", runs)
    assert finding.verdict == verdict
    nulls = {one.unit.partition(",")[0]: one.null for one in finding.figures}
    assert nulls == {"paraphrase accuracy": 0.2, "share": 0.0}  # five meanings a type, counted in the corpus


def test_changes_without_learning_are_counted() -> None:
    finding = found("controls", controls(changed=True))
    # Three methods x three seeds x twelve captures x two types, of which simple mappings always “changed”.
    assert "108 of 216 measurements" in " ".join(finding.details)


def test_one_control_alone_says_what_the_other_needs() -> None:
    finding = found("controls", [run for run in controls() if run.learning_rate != 0])
    assert finding.verdict == "partly"
    assert "learning_rates: [0]" in finding.answer
    assert found("controls", grid()).verdict == "inconclusive"
