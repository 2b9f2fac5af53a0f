"""Every question on made studies whose truth is known: yes, no, partly, cannot be told; and without the data."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.decisions import Capture, Look, TypeLook, TypeScore
from engine.domain.measures import Change
from engine.domain.runs import RunConfig
from engine.domain.studies import Finding, FindingFigure, Grid, RunOutcome, Study, StudySpec, StudyTables
from engine.store import Store
from engine.studies.findings import QUESTIONS, findings
from engine.studies.spec import study_runs
from engine.studies.tables import study_tables
from tests.studies.made_tables import SPEC, Run, grid, stopped, tables

COMMAND = "python -m engine study studies/made.yaml"
Rng = np.random.Generator
Truth = Callable[[Run, Rng], Run]
RULES = ("loss_plateau", "probe_plateau", "circuit_saturation")


def found(key: str, runs: list[Run] | StudyTables) -> Finding:
    made = runs if isinstance(runs, StudyTables) else tables(runs)
    return next(finding for finding in findings(made, SPEC, command=COMMAND) if finding.key == key)


def figure(finding: Finding, name: str, unit: str | None = None) -> FindingFigure:
    return next(f for f in finding.figures if f.name == name and unit in (None, f.unit))


# 1. simple and spatial


def _ahead(mean: float, *, only: tuple[str, ...] = ("lora", "tokens", "lora_tokens"), spread: float = 10.0) -> Truth:
    def truth(run: Run, rng: Rng) -> Run:
        simple = 88 + rng.normal(0, 3)
        return replace(run, reached=(simple, simple + (mean if run.method in only else 0) + rng.normal(0, spread)))

    return truth


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        (_ahead(80), "yes"),
        (_ahead(-80), "no"),
        (_ahead(0, spread=4), "no"),  # the same within a capture
        (_ahead(80, only=("lora",), spread=4), "partly"),
        (_ahead(20, spread=120), "cannot be told"),
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
    assert neither.verdict == "cannot be told"
    assert "No run reached" in neither.answer


# 2. saturation: the full run reaches 0.9 and its end at `reached`; a stop before it leaves something


def _with_rules(at: dict[str, Callable[[Rng], float]], *, reached: float = 150, n_seeds: int = 10) -> list[Run]:
    runs = grid(lambda run, _: replace(run, reached=(reached, reached)), n_seeds=n_seeds)
    for rule, stop in at.items():
        runs += grid(
            lambda run, rng, stop=stop: stopped(run, stop(rng), reached=(reached, reached)),  # type: ignore[misc]
            stopping=rule,
            n_seeds=n_seeds,
        )
    return runs


NEVER = float("nan")


@pytest.mark.parametrize(
    ("stop", "verdict"),
    [
        (lambda rng: 225.0, "yes"),
        (lambda rng: 225.0 if rng.random() < 0.7 else NEVER, "partly"),
        (lambda rng: 75.0, "no"),  # accuracy there is 0.8 · 75 / 150 = 0.4 of 1.0
        (lambda rng: NEVER, "no"),
        (lambda rng: 225.0 if rng.random() < 0.9 else 75.0, "cannot be told"),
    ],
)
def test_saturation(stop: Callable[[Rng], float], verdict: str) -> None:
    runs = _with_rules({"circuit_saturation": stop, "probe_plateau": lambda rng: 125.0})
    assert found("saturation", runs).verdict == verdict


def test_what_a_stop_leaves_worked_by_hand() -> None:
    finding = found(
        "saturation",
        _with_rules({"circuit_saturation": lambda rng: 225.0, "loss_plateau": lambda rng: 75.0}),
    )
    assert figure(finding, "circuits have formed").value == 0.0
    assert figure(finding, "loss is flat").value == pytest.approx(0.6)  # 1 - 0.8 · 75 / 150
    assert figure(finding, "loss is flat", "share, of stops that came too early").value == 1.0
    assert figure(finding, "loss is flat", "share, of runs that were stopped").n == 30


def test_too_few_stops_tell_nothing() -> None:
    runs = _with_rules({"circuit_saturation": lambda rng: 225.0}, n_seeds=1)
    assert found("saturation", runs).verdict == "cannot be told"  # three pairs


# 3. types


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (lambda run, rng: (100, 200), "yes"),
        (lambda run, rng: (100, 200) if run.method == "tokens" else (100, 100), "partly"),
        (lambda run, rng: (150, 150), "no"),
        (lambda run, rng: (rng.integers(1, 12) * 25, rng.integers(1, 12) * 25), "cannot be told"),
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


def test_a_circuit_that_never_changed_counts_from_the_base() -> None:
    finding = found("types_differ", grid(lambda run, _: replace(run, last_change=(0, 100))))
    assert figure(finding, "LoRA", "difference, in the step of the last change").value == 100


# 4 and 8. prediction


def _tells(strength: float, *, apart: float = 0.0) -> Truth:
    """Meaning overlap goes with the end by `strength`, within methods; `apart`: how far methods lie apart."""

    def truth(run: Run, rng: Rng) -> Run:
        skill = rng.normal()
        offset = apart * ("lora", "tokens", "lora_tokens").index(run.method)
        noise = rng.normal()
        return replace(
            run,
            inference=float(np.clip(0.3 + 0.02 * skill + 0.1 * offset, 0.01, 0.99)),
            gap=0.2 + 0.01 * (strength * skill + (1 - strength) * noise) + 0.1 * offset,
            loss=1 + rng.normal() * 0.1,
            reached=tuple(100 + 40 * rng.normal(size=2)),
        )

    return truth


def _many(truth: Truth) -> list[Run]:
    return grid(truth, n_seeds=40)


@pytest.mark.parametrize(("truth", "verdict"), [(_tells(1), "yes"), (_tells(0, apart=2), "partly"), (_tells(0), "no")])
def test_prediction(truth: Truth, verdict: str) -> None:
    finding = found("prediction", _many(truth))
    assert finding.verdict == verdict
    assert finding.reference == 0.5


def test_prediction_from_few_runs_cannot_be_told() -> None:
    finding = found("prediction", grid(_tells(0.4), n_seeds=5, methods=["lora"]))
    assert finding.verdict == "cannot be told"


def test_methods_that_lie_apart_are_told_as_that() -> None:
    finding = found("prediction", _many(_tells(0, apart=2)))
    assert "tells the methods apart" in finding.answer
    assert "within a method nothing surely tells" in finding.answer


@pytest.mark.parametrize(("truth", "verdict"), [(_tells(1), "yes"), (_tells(0, apart=2), "partly"), (_tells(0), "no")])
def test_overlap(truth: Truth, verdict: str) -> None:
    assert found("overlap", _many(truth)).verdict == verdict


def test_overlap_of_few_runs_cannot_be_told() -> None:
    assert found("overlap", grid(_tells(0.3), n_seeds=6, methods=["lora"])).verdict == "cannot be told"


# 5. stopping


def _stopping(*, at: float = 200, loses: float = 0.0, spread: float = 0.01, waited_s: float = 0.1) -> list[Run]:
    def full(run: Run, rng: Rng) -> Run:
        return replace(run, paraphrase=0.95, inference=0.5)

    def rule(run: Run, rng: Rng) -> Run:
        lost = loses + spread * rng.normal()
        return stopped(run, at, paraphrase=0.95 - lost, waited_s=waited_s, inference=0.5 * 300 / min(at, 300))

    return [*grid(full), *grid(rule, stopping="circuit_saturation")]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (_stopping(), "yes"),
        (_stopping(loses=0.3), "no"),
        (_stopping(waited_s=50.0), "no"),  # looks cost more than they save
        (_stopping(at=300), "no"),  # nothing saved
        (_stopping(spread=0.4), "cannot be told"),
    ],
)
def test_stopping(runs: list[Run], verdict: str) -> None:
    assert found("stopping", runs).verdict == verdict


def test_stopping_with_open_seconds_is_partly() -> None:
    rng = np.random.default_rng(0)
    runs = [
        replace(run, waited_s=float(10 + rng.normal() * 4)) if run.stopping != "none" else run for run in _stopping()
    ]
    assert found("stopping", runs).verdict == "partly"  # some 10 s of waiting for 100 steps of 0.1 s


def test_costs_worked_by_hand() -> None:
    seconds = "difference, seconds saved net of looks"
    waiting = [
        replace(run, waited_s=3.0) if run.stopping != "none" else replace(run, waited_s=7.0) for run in _stopping()
    ]
    finding = found("stopping", waiting)
    # 300 steps of 0.1 s (the waiting of a watched full run is not its own) against 200 of 0.1 s and 3 s of waiting.
    assert figure(finding, "circuits have formed", seconds).value == pytest.approx(30 - 20 - 3)
    assert figure(finding, "circuits have formed", "difference, steps saved").value == 100
    # Where runs without looks tell the pace of training alone (0.05 s a step), the full run's seconds are at that pace.
    probes = [
        replace(run, stopping="probe_plateau", watched=False, step_s=0.05, waited_s=0.0)
        for run in waiting
        if run.stopping != "none"
    ]
    finding = found("stopping", waiting + probes)
    assert figure(finding, "circuits have formed", seconds).value == pytest.approx(15 - 20 - 3)
    assert figure(finding, "probes are flat", seconds).value == pytest.approx(15 - 10)


# 6. curricula


def _curriculum(*, faster: float = 0.0, better: float = 0.0, spread: float = 0.005) -> list[Run]:
    def ours(run: Run, rng: Rng) -> Run:
        score = 0.95 + better + spread * rng.normal()
        return replace(run, paraphrase=score, reached=(100, 200 - faster), inference=0.5 + spread * rng.normal())

    even = grid(lambda run, _: replace(run, paraphrase=0.95, reached=(100, 200)))
    return [*even, *grid(ours, curriculum="circuit_change")]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (_curriculum(faster=100), "yes"),
        (_curriculum(better=0.04), "yes"),
        (_curriculum(), "partly"),
        (_curriculum(better=-0.3), "no"),
        (_curriculum(spread=0.5), "cannot be told"),
    ],
)
def test_curriculum(runs: list[Run], verdict: str) -> None:
    assert found("curriculum", runs).verdict == verdict


# 7. loss


def _loss(within: float, across: float) -> Truth:
    """Inference rises with a lower loss by `within`; and from method to method by `across`."""

    def truth(run: Run, rng: Rng) -> Run:
        place = ("lora", "tokens", "lora_tokens").index(run.method)
        low, noise = rng.normal(size=2)
        return replace(
            run,
            loss=3 - 0.1 * low - 0.5 * place,
            inference=0.5 + 0.02 * (within * low + (1 - abs(within)) * noise) + 0.15 * across * place,
        )

    return truth


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [(_loss(1, 1), "yes"), (_loss(0, 1), "partly"), (_loss(0, -1), "no"), (_loss(0, 0), "no")],
)
def test_loss(truth: Truth, verdict: str) -> None:
    assert found("loss", _many(truth)).verdict == verdict


def test_loss_of_few_runs_cannot_be_told() -> None:
    assert found("loss", grid(_loss(0.3, 0), n_seeds=6, methods=["lora"])).verdict == "cannot be told"


# 9. lookup


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        (lambda run, rng: replace(run, inference=0.9 + 0.03 * rng.normal()), "yes"),
        (lambda run, rng: replace(run, inference=0.9 if run.method == "tokens" else 0.1), "partly"),
        (lambda run, rng: replace(run, inference=0.1 + 0.03 * rng.normal()), "no"),
        (lambda run, rng: replace(run, inference=float(rng.random())), "cannot be told"),
    ],
)
def test_lookup(truth: Truth, verdict: str) -> None:
    assert found("lookup", grid(truth)).verdict == verdict


def test_the_sentence_names_the_methods_with_their_scores() -> None:
    finding = found("lookup", grid(lambda run, _: replace(run, inference=0.9 if run.method == "tokens" else 0.1)))
    assert "LoRA gets 0.10 of the inferences right" in finding.answer
    assert "New tokens only gets 0.90" in finding.answer
    assert len(finding.figures) == 6


# 10. controls


def _controls(*, learned: float = 0.2, changed: bool = False, spread: float = 0.1) -> list[Run]:
    def shuffled(run: Run, rng: Rng) -> Run:
        score = float(np.clip(learned + spread * rng.normal(), 0, 1))
        return replace(run, corpus="demo-shuffled", paraphrase=score, reached=(0, 0))

    still = (300.0, 0.0) if changed else (0.0, 0.0)
    zero = grid(lambda run, _: replace(run, learning_rate=0.0, last_change=still), n_seeds=3)
    return [*grid(), *grid(shuffled), *zero]


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (_controls(), "yes"),
        (_controls(learned=0.9), "partly"),
        (_controls(changed=True), "partly"),
        (_controls(learned=0.9, changed=True), "no"),
    ],
)
def test_controls(runs: list[Run], verdict: str) -> None:
    finding = found("controls", runs)
    assert finding.verdict == verdict
    assert finding.reference == 0.2  # five meanings a type, counted in the corpus


def test_changes_without_learning_are_counted() -> None:
    finding = found("controls", _controls(changed=True))
    # Three methods x three seeds x twelve captures x two types, of which simple mappings always “changed”.
    assert "108 of 216 looks" in finding.answer


def test_one_control_alone_says_what_the_other_needs() -> None:
    finding = found("controls", [run for run in _controls() if run.learning_rate != 0])
    assert finding.verdict == "partly"
    assert "learning_rates: [0]" in finding.answer
    assert found("controls", grid()).verdict == "cannot be told"


# all of them


def test_controls_and_other_rates_are_in_no_other_question() -> None:
    plain = [*_stopping(), *_with_rules({"probe_plateau": lambda rng: 150.0})[30:], *_curriculum()[30:]]
    others = [run for run in _controls(learned=0.0, changed=True) if run.corpus != "demo" or run.learning_rate == 0]
    swept = [replace(run, learning_rate=0.05, inference=0.0) for run in grid()]
    alone, beside = (findings(tables(runs), SPEC, command=COMMAND) for runs in (plain, [*plain, *others, *swept]))
    assert [f.key for f in alone] == [f.key for f in beside]
    for one, other in zip(alone, beside, strict=True):
        if one.key != "controls":
            assert one == other


def test_a_rate_that_is_the_methods_own_is_no_other_rate() -> None:
    named = [replace(run, learning_rate={"tokens": 5e-3}.get(run.method, 2e-3)) for run in grid(_ahead(80))]
    assert found("learning_speed", named) == found("learning_speed", grid(_ahead(80)))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_study_without_the_data_says_what_to_add(question: Callable[..., Finding]) -> None:
    only = tables([Run(watched=False, corpus="demo-shuffled", curriculum="under_learned")])
    finding = question(only, SPEC, COMMAND)
    assert finding.verdict == "cannot be told"
    assert any(word in finding.answer for word in ("Add ", "add ", "Use one", "Give "))
    assert finding.command == COMMAND


def test_tables_without_rows_or_columns_break_nothing() -> None:
    whole = tables(_controls())
    empty = StudyTables(whole.runs.iloc[:0], whole.captures.iloc[:0])
    bare = StudyTables(pd.DataFrame(), pd.DataFrame())
    no_columns = StudyTables(whole.runs, whole.captures[["run", "step", "constraint_type"]])
    for made in (empty, bare, no_columns):
        for finding in findings(made, SPEC, command=COMMAND):
            assert finding.verdict in ("cannot be told", "partly")
            assert finding.answer


def test_runs_that_are_all_equal_warn_of_nothing() -> None:
    """No spread anywhere, nothing varies: pytest makes every warning an error."""
    everything = [*grid(), *(run for rule in RULES for run in grid(lambda r, _: stopped(r, 200), stopping=rule))]
    everything += [*grid(curriculum="under_learned"), *grid(curriculum="circuit_change"), *_controls(spread=0.0)[30:]]
    made = findings(tables(everything), SPEC, command=COMMAND)
    assert len(made) == len(QUESTIONS)
    assert next(f for f in made if f.key == "loss").verdict == "cannot be told"  # nothing to rank


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_one_or_two_seeds_tell_nothing(n_seeds: int) -> None:
    few = grid(_tells(1), n_seeds=n_seeds, methods=["lora"])
    few += [stopped(replace(run, stopping=rule), 200) for run in few for rule in RULES]
    for finding in findings(tables(few), SPEC, command=COMMAND):
        assert finding.verdict == "cannot be told", finding.key


def test_intervals_hold_their_figures_and_every_finding_is_whole() -> None:
    for finding in findings(tables([*_stopping(), *_curriculum()[30:], *_controls()[30:]]), SPEC, command=COMMAND):
        assert finding.question.endswith("?")
        assert finding.answer.endswith(".")
        for one in finding.figures:
            if one.low is not None and one.high is not None and one.value is not None:
                assert one.low <= one.value <= one.high
        assert Finding.model_validate_json(finding.model_dump_json()) == finding


def test_numbers_read_well() -> None:
    from engine.studies.findings.words import interval, listed, number

    assert number(-0.004) == "0.00"
    assert number(-1.5, 1) == "−1.5"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert "unknown" in interval(FindingFigure(name="x", value=None, n=0))
    assert interval(FindingFigure(name="x", value=0.5, n=1)) == "0.50 (n = 1: no interval)"
    assert interval(FindingFigure(name="x", value=0.5, low=-0.1, high=1, n=9)) == (
        "0.50 (95 % interval −0.10 to 1.00, n = 9)"
    )


def test_tables_read_back_from_disk_say_the_same(store: Store) -> None:
    made = tables([*_stopping(), *_curriculum()[30:], *_controls()[30:]])
    said = findings(made, SPEC, command=COMMAND)
    store.save_study(Study(spec=SPEC, n_runs=len(made.runs), findings=said), made)
    assert findings(store.study_tables(SPEC.name), SPEC, command=COMMAND) == said


def test_tables_of_real_outcomes_are_understood() -> None:
    """Through `engine.studies.tables`: six seeds in which simple mappings are learned at 100 and spatial ones at 200,
    watched at every capture, their circuits changing until then."""
    spec = StudySpec(name="real", grids=(Grid(seeds=tuple(range(6)), watch=True),))
    made = study_tables([_outcome(run.config) for run in study_runs(spec)], spec)
    said = {finding.key: finding for finding in findings(made, spec, command=COMMAND)}
    assert said["learning_speed"].verdict == said["types_differ"].verdict == "yes"
    assert figure(said["learning_speed"], "all methods").value == 100
    assert figure(said["types_differ"], "LoRA", "difference, in the step of the last change").value == 100
    assert said["lookup"].verdict == "no"


def _outcome(config: RunConfig) -> RunOutcome:
    reached = {SIMPLE: 100, SPATIAL: 200}
    captures = [
        Capture(
            step=step,
            smoothed_loss=3 - step / 200 if step else None,
            scores=tuple(
                TypeScore(constraint_type=kind, probe_kind=probes, n=40, n_correct=n_correct, mean_p=0.5)
                for kind, at in reached.items()
                for probes, n_correct in (("paraphrase", 38 if step >= at else 10), ("inference", 4))
            ),
            look=Look(
                step=step,
                transcoders="x",
                transcoders_hash="y",
                refreshed=False,
                types=tuple(_look(kind, changed=0 < step <= at, first=step == 0) for kind, at in reached.items()),
                trace_s=0.5,
            ),
        )
        for step in range(0, 301, 25)
    ]
    return RunOutcome(
        config=config, captures=tuple(captures), n_steps=300, stopped_at=None, train_s=9.0, look_s=6.5, refresh_s=0.0,
        waited_s=1.0,
    )  # fmt: skip


def _look(kind: str, *, changed: bool, first: bool) -> TypeLook:
    value = 0.6 if changed else 0.05
    change = Change(value=value, low=value - 0.02, high=value + 0.02, edge=0.3)
    return TypeLook(
        constraint_type=kind, n_prompts=4, fit=0.9, lowest_fit=0.85, change={} if first else {"influence": change},
        own=(0.3, 0.4), other=(0.1, 0.1),
    )  # fmt: skip
