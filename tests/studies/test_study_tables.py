"""Outcomes as tables, worked by hand; and the commands that make a run again."""

import shlex
from typing import Any

import pandas as pd
import pytest

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.decisions import Capture, CircuitReading, Decision, DecisionSettings, TypeReading, TypeScore, Verdict
from engine.domain.measures import Change, Floor
from engine.domain.methods import METHOD_INFOS, MethodSettings
from engine.domain.runs import RunConfig
from engine.domain.studies import Grid, RunOutcome, Study, StudySpec
from engine.store import Store
from engine.studies.commands import train_command
from engine.studies.spec import study_runs
from engine.studies.tables import CAPTURE_COLUMNS, RUN_COLUMNS, study_tables

SPEC = StudySpec(name="x", n_steps=4, capture_every=2, grids=(Grid(seeds=(0, 1), curricula=("uniform", "circuit_change")),))  # fmt: skip  # noqa: E501
CONFIGS = {run.name: run.config for run in study_runs(SPEC)}
PLAIN, CHANGE = "demo-lora-s0", "demo-lora-circuit-change-s1"


def score(constraint_type: str, kind: Any, n_correct: int, n: int, mean_p: float = 0.5) -> TypeScore:
    return TypeScore(constraint_type=constraint_type, probe_kind=kind, n=n, n_correct=n_correct, mean_p=mean_p)


def outcome(config: RunConfig, *captures: Capture, **values: Any) -> RunOutcome:
    given = {"n_steps": 4, "stopped_at": None, "train_s": 1.5, "look_s": 0.25, "refresh_s": 0.125, "waited_s": 0.0}
    return RunOutcome(config=config, captures=captures, **{**given, **values})


def looked(**values: Any) -> CircuitReading:
    floor = {"influence": Floor(halves=0.1, halves_high=0.2, paraphrases=0.3)}
    one = TypeReading(constraint_type=SIMPLE, n_prompts=4, fit=0.9, lowest_fit=0.8, floor=floor, **values)
    return CircuitReading(step=2, transcoders="t", transcoders_hash="h", refreshed=False, types=(one,), trace_s=1.0)


def test_the_columns_are_those_that_the_type_names() -> None:
    tables = study_tables([], SPEC)
    assert tuple(tables.runs.columns) == RUN_COLUMNS
    assert tuple(tables.captures.columns) == CAPTURE_COLUMNS
    assert tables.runs.empty
    assert tables.captures.empty


def test_scores_of_one_capture() -> None:
    simple = score(SIMPLE, "recall", 3, 4), score(SIMPLE, "paraphrase", 1, 3, 0.123456789)
    scores = (*simple, score(SPATIAL, "inference", 2, 2))
    base = Capture(step=0, smoothed_loss=None, scores=scores)
    rows = study_tables([outcome(CONFIGS[PLAIN], base)], SPEC).captures
    assert list(rows["constraint_type"]) == [SIMPLE, SPATIAL]
    first, spatial = (rows.iloc[place] for place in (0, 1))
    assert (first["recall"], first["paraphrase"], first["p_paraphrase"]) == (0.75, 0.33333, 0.12346)  # 1/3, 5 digits
    assert (first["n_paraphrase"], first["n_inference"], spatial["n_inference"]) == (3, 0, 2)
    assert spatial["inference"] == 1.0
    missing = [first["loss"], first["inference"], first["retention"], first["p_inference"], spatial["recall"]]
    assert all(pd.isna(value) for value in (*missing, first["fit"], first["said"], first["weight"]))


def test_what_was_looked_at_and_decided() -> None:
    scores = (score(SIMPLE, "recall", 1, 1), score(SPATIAL, "recall", 1, 1))
    change = {"influence": Change(value=0.5, low=0.4, high=0.6, edge=0.3)}
    reading = looked(change=change, own=(0.5, 0.25), other=(0.0, 0.5))
    captures = (
        Capture(step=2, smoothed_loss=2.0, scores=scores, reading=reading),
        Capture(step=4, smoothed_loss=1.0, scores=scores, reading=looked()),
    )
    verdict = Verdict(stop=False, reason="")
    decisions = (
        Decision(step=2, verdict=verdict, weights={SIMPLE: 0.7, SPATIAL: 0.3}),
        Decision(step=4, verdict=verdict),  # even: one half each
    )
    rows = study_tables([outcome(CONFIGS[CHANGE], *captures, decisions=decisions)], SPEC).captures
    first, other, last, _ = (rows.iloc[place] for place in range(4))
    assert tuple(first[["change", "low", "high", "edge", "said"]]) == (0.5, 0.4, 0.6, 0.3, "change")
    assert (first["fit"], first["own"], first["other"]) == (0.9, 0.375, 0.25)  # means over the two layers
    assert pd.isna(other["fit"])  # its type was not looked at
    assert pd.isna(last["change"])
    assert pd.isna(last["own"])
    assert list(rows["weight"]) == [0.7, 0.3, 0.5, 0.5]
    assert list(rows["loss"]) == [2.0, 2.0, 1.0, 1.0]


def test_another_measure_is_that_of_the_study() -> None:
    settings = DecisionSettings(measure="node_jaccard")
    spec = SPEC.model_copy(update={"decisions": settings})
    change = {"influence": Change(value=0.5, low=0.4, high=0.6, edge=None),
              "node_jaccard": Change(value=0.1, low=0.0, high=0.2, edge=None)}  # fmt: skip
    capture = Capture(step=2, smoothed_loss=1.0, scores=(score(SIMPLE, "recall", 1, 1),), reading=looked(change=change))
    config = CONFIGS[PLAIN].model_copy(update={"decisions": settings})
    (row,) = study_tables([outcome(config, capture)], spec).captures.to_dict("records")
    assert (row["change"], row["said"]) == (0.1, "unclear")
    assert pd.isna(row["edge"])


def test_runs_come_in_the_order_of_the_study_and_only_those_that_it_asks_for() -> None:
    hashed = CONFIGS[CHANGE].model_copy(update={"corpus_hash": "abc"})
    strange = CONFIGS[PLAIN].model_copy(update={"n_steps": 5})
    given = [outcome(hashed, stopped_at=2, n_steps=2), outcome(strange), outcome(CONFIGS[PLAIN])]
    runs = study_tables(given, SPEC).runs
    assert list(runs["run"]) == [PLAIN, CHANGE]
    assert list(runs["n_steps"]) == [4, 2]
    assert runs["stopped_at"].isna().tolist() == [True, False]
    assert list(runs["learning_rate"]) == [METHOD_INFOS["lora"].default_learning_rate] * 2
    assert tuple(runs.iloc[0][["train_s", "look_s", "refresh_s", "waited_s"]]) == (1.5, 0.25, 0.125, 0.0)


def test_they_come_back_from_the_store_as_they_were(store: Store) -> None:
    capture = Capture(step=2, smoothed_loss=1 / 3, scores=(score(SIMPLE, "recall", 1, 3),), reading=looked())
    tables = study_tables([outcome(CONFIGS[PLAIN], capture)], SPEC)
    store.save_study(Study(spec=SPEC, n_runs=1), tables)
    again = store.study_tables("x")
    pd.testing.assert_frame_equal(again.runs, tables.runs)
    pd.testing.assert_frame_equal(again.captures, tables.captures, check_dtype=False)


ODD = RunConfig(
    name="odd", corpus="words", method="tokens", n_steps=7, capture=(1.0,), capture_every=3, rank=2, seed=9,
    learning_rate=1e-05, stopping="circuit_saturation", curriculum="under_learned", watch=True, alpha=4, batch_size=3,
    decisions=DecisionSettings(
        patience=2, loss_drop=0.1, probe_kind="inference", measure="edge_jaccard", min_fit=0.5, n_prompts=2,
        least_share=0.5, refresh_steps=0,
    ),
    method_settings=MethodSettings(
        critical_rank=32, n_critical=2, critical_layers=(0, 3), prior=("words", "others"), probe_steps=5, n_edges=40,
        last_n_edges=20, discover_every=4,
    ),
)  # fmt: skip


@pytest.mark.parametrize("config", [CONFIGS[PLAIN], CONFIGS[CHANGE], ODD], ids=lambda config: config.name)
def test_the_command_asks_for_the_same_run(config: RunConfig, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    from typer.testing import CliRunner

    from engine.cli.app import app
    from engine.domain.jobs import Train
    from tests.tiny import tiny_corpus

    asked: list[RunConfig] = []

    def instead(_store: Store, request: Train, **_options: object) -> str:
        asked.append(request.config)
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.jobs.run_inline", instead)
    for name in ("words", "others"):
        store.save_corpus(tiny_corpus(name))
    python, m, engine, *words = shlex.split(train_command(config))
    assert (python, m, engine) == ("python", "-m", "engine")
    result = CliRunner().invoke(app, words)
    assert asked == [config], result.output
