"""What rankings are worth is kept with a study, beside what its runs gave."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.bench import keep_rankings
from engine.bench.ranked import RANDOM, RankedPrompt, Worth
from engine.domain.errors import InputError, NotFound
from engine.domain.jobs import NeverCanceled, quiet
from engine.domain.studies import RANKING_COLUMNS, Grid, Study, StudySpec
from engine.store import Store
from engine.studies.execute import run_study
from tests.studies import fake_runs
from tests.studies.fake_runs import order_corpus

SPEC = StudySpec(name="made", asks="measures", grids=(Grid(corpora=("orders",)),))
COMMAND = "python -m engine study made.yaml"


def prompt(model: str, text: str, share: float) -> RankedPrompt:
    worths = {"right": Worth(0.9, {1: share, 5: 2 * share}), RANDOM: Worth(np.nan, {1: 0.0, 5: 0.0})}
    return RankedPrompt(model, "run", "MLPs", text, "right", worths)


@pytest.fixture
def kept(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """A study whose run is done, with rankings on two models."""
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    store.save_corpus(order_corpus("orders", tmp_path))
    run_study(store, SPEC, quiet, NeverCanceled(), n_workers=1, command=COMMAND)
    keep_rankings(store, "made", [prompt("one", "p", 0.1), prompt("one", "q", 0.2), prompt("two", "p", 0.3)])
    return store


def test_rows_are_what_was_measured(kept: Store) -> None:
    table = kept.study_tables("made").rankings
    assert tuple(table.columns) == RANKING_COLUMNS
    assert table["ranking"].tolist() == ["right", RANDOM] * 3
    assert table["is_default"].tolist() == [True, False] * 3
    assert table.loc[table["ranking"] == "right", "first_5"].tolist() == [0.2, 0.4, 0.6]
    assert table["first_20"].isna().all()  # there are no twenty places
    assert len(kept.study_tables("made").runs) == 1


def test_those_of_the_same_model_are_replaced(kept: Store) -> None:
    study = keep_rankings(kept, "made", [prompt("one", "new", 0.4)])
    table = kept.study_tables("made").rankings
    assert table.drop_duplicates("prompt", keep="first")[["model", "prompt"]].to_numpy().tolist() == [
        ["two", "p"],
        ["one", "new"],
    ]
    (ranked,) = [finding for finding in study.findings if any("of one" in sentence for sentence in finding.details)]
    assert ranked.command.endswith("--keep made")
    assert {finding.command for finding in study.findings if finding is not ranked} == {COMMAND} == {study.command}


def test_a_study_that_is_done_again_keeps_them(kept: Store) -> None:
    before = kept.study_tables("made").rankings
    run_study(kept, SPEC, quiet, NeverCanceled(), n_workers=1, command=COMMAND)
    pd.testing.assert_frame_equal(kept.study_tables("made").rankings, before)


def test_what_cannot_be_kept_is_refused(store: Store) -> None:
    store.save_study(Study(spec=SPEC.model_copy(update={"name": "other", "asks": "learning"})))
    store.save_study(Study(spec=SPEC))
    with pytest.raises(InputError, match="asks: measures"):
        keep_rankings(store, "other", [prompt("one", "p", 0.1)])
    with pytest.raises(InputError, match="--only rankings"):
        keep_rankings(store, "made", [])
    with pytest.raises(NotFound):
        keep_rankings(store, "none", [prompt("one", "p", 0.1)])
