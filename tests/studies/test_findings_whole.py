"""All findings together: controls and swept rates, little or no data, tables from disk and of real outcomes."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.decisions import Capture, CircuitReading, TypeReading, TypeScore
from engine.domain.measures import Change
from engine.domain.runs import RunConfig
from engine.domain.studies import Finding, FindingFigure, Grid, RunOutcome, Study, StudySpec, StudyTables
from engine.store import Store
from engine.studies.findings import QUESTIONS, findings
from engine.studies.spec import study_runs
from engine.studies.tables import study_tables
from tests.studies.made_tables import SPEC, Run, grid, stopped, tables
from tests.studies.truths import COMMAND, ahead, controls, curriculum, figure, found, stopping, tells, with_rules

RULES = ("loss_plateau", "probe_plateau", "circuit_saturation")


def test_controls_and_other_rates_are_in_no_other_question() -> None:
    plain = [*stopping(), *with_rules({"probe_plateau": lambda rng: 150.0})[30:], *curriculum()[30:]]
    others = [run for run in controls(learned=0.0, changed=True) if run.corpus != "demo" or run.learning_rate == 0]
    swept = [replace(run, learning_rate=0.05, inference=0.0) for run in grid()]
    alone, beside = (findings(tables(runs), SPEC, command=COMMAND) for runs in (plain, [*plain, *others, *swept]))
    assert [f.key for f in alone] == [f.key for f in beside]
    for one, other in zip(alone, beside, strict=True):
        if one.key != "controls":
            assert one == other


def test_a_rate_that_is_the_methods_own_is_no_other_rate() -> None:
    named = [replace(run, learning_rate={"tokens": 5e-3}.get(run.method, 2e-3)) for run in grid(ahead(80))]
    assert found("learning_speed", named) == found("learning_speed", grid(ahead(80)))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_study_without_the_data_says_what_to_add(question: Callable[..., Finding]) -> None:
    only = tables([Run(watched=False, corpus="demo-shuffled", curriculum="under_learned")])
    finding = question(only, SPEC, COMMAND)
    assert finding.verdict == "inconclusive"
    assert any(word in finding.answer for word in ("Add ", "add ", "Use one", "Give "))
    assert finding.command == COMMAND


def test_tables_without_rows_or_columns_break_nothing() -> None:
    whole = tables(controls())
    empty = StudyTables(whole.runs.iloc[:0], whole.captures.iloc[:0])
    bare = StudyTables(pd.DataFrame(), pd.DataFrame())
    no_columns = StudyTables(whole.runs, whole.captures[["run", "step", "constraint_type"]])
    for made in (empty, bare, no_columns):
        for finding in findings(made, SPEC, command=COMMAND):
            assert finding.verdict in ("inconclusive", "partly")
            assert finding.answer


def test_runs_that_are_all_equal_warn_of_nothing() -> None:
    """No spread anywhere, nothing varies: pytest makes every warning an error."""
    everything = [*grid(), *(run for rule in RULES for run in grid(lambda r, _: stopped(r, 200), stopping=rule))]
    everything += [*grid(curriculum="under_learned"), *grid(curriculum="circuit_change"), *controls(spread=0.0)[30:]]
    made = findings(tables(everything), SPEC, command=COMMAND)
    assert len(made) == len(QUESTIONS)
    assert next(f for f in made if f.key == "loss").verdict == "inconclusive"  # nothing to rank


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_one_or_two_seeds_tell_nothing(n_seeds: int) -> None:
    few = grid(tells(1), n_seeds=n_seeds, methods=["lora"])
    few += [stopped(replace(run, stopping=rule), 200) for run in few for rule in RULES]
    for finding in findings(tables(few), SPEC, command=COMMAND):
        assert finding.verdict == "inconclusive", finding.key


def test_intervals_hold_their_figures_and_every_finding_is_whole() -> None:
    for finding in findings(tables([*stopping(), *curriculum()[30:], *controls()[30:]]), SPEC, command=COMMAND):
        assert finding.question.endswith("?")
        assert finding.answer.endswith(".")
        for one in finding.figures:
            if one.low is not None and one.high is not None and one.value is not None:
                assert one.low <= one.value <= one.high
        assert Finding.model_validate_json(finding.model_dump_json()) == finding


def test_numbers_read_well() -> None:
    from engine.domain.words import listed
    from engine.studies.findings.words import interval, saves

    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert "unknown" in interval(FindingFigure(name="x", value=None, n=0))
    assert interval(FindingFigure(name="x", value=0.5, n=1)) == "0.50 (n = 1, too few for an interval)"
    assert interval(FindingFigure(name="x", value=0.5, low=-0.1, high=1, n=9)) == ("0.50 (−0.10 to 1.00, n = 9)")
    assert saves(FindingFigure(name="x", value=-8, low=-20, high=4, n=9), "steps") == "costs 8 steps (−4 to 20, n = 9)"


def test_tables_read_back_from_disk_say_the_same(store: Store) -> None:
    made = tables([*stopping(), *curriculum()[30:], *controls()[30:]])
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
    assert said["lookup"].verdict == "inconclusive"  # 0.1 of five words: up to 0.52


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
            reading=CircuitReading(
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


def _look(kind: str, *, changed: bool, first: bool) -> TypeReading:
    value = 0.6 if changed else 0.05
    change = Change(value=value, low=value - 0.02, high=value + 0.02, edge=0.3)
    return TypeReading(
        constraint_type=kind, n_prompts=4, fit=0.9, lowest_fit=0.85, change={} if first else {"influence": change},
        own=(0.3, 0.4), other=(0.1, 0.1),
    )  # fmt: skip
