"""Series, decisions and studies: stored whole, found again, checked, and gone with their run."""

from pathlib import Path

import pandas as pd
import pytest

from engine.domain.decisions import Decision, RunDecisions, Verdict
from engine.domain.errors import Damaged, NotFound
from engine.domain.runs import RunConfig
from engine.domain.series import GraphSeries, SeriesGraph, SeriesKey
from engine.domain.studies import Finding, FindingFigure, Grid, RunOutcome, Study, StudySpec, StudyTables
from engine.store import Store
from tests.store.artefacts import add_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work", bundled=None)


def series(run: str = "one", *, kind: str = "paraphrase") -> GraphSeries:
    key = SeriesKey.model_validate(
        {
            "run": run, "checkpoints": ((0, "a"), (2, "b")), "corpus_hash": "c", "probe_kind": kind, "probes": ("p0",),
            "transcoders": "shared", "transcoders_hash": "t",
        }
    )  # fmt: skip
    return GraphSeries(key=key, graphs=(SeriesGraph(step=0, probe_id="p0", graph="00ff"),))


def study(name: str = "grid") -> Study:
    figure = FindingFigure(name="simple “mapping”", value=0.5, low=0.25, high=0.75, n=10)
    finding = Finding(
        key="speed", question="Which is faster?", verdict="no", answer="Neither.", figures=(figure,), command="study x"
    )
    return Study(spec=StudySpec(name=name, grids=(Grid(),)), n_runs=1, findings=(finding,))


def tables() -> StudyTables:
    runs = pd.DataFrame({"run": ["a", "b"], "stopped_at": [None, 50.0], "train_s": [0.1, 1 / 3], "command": ["x", "y"]})
    captures = pd.DataFrame({"run": ["a"], "step": [25], "fit": [float("nan")], "said": ["change"]})
    return StudyTables(runs, captures)


def test_a_series_is_found_by_its_run_newest_first_and_goes_with_it(store: Store) -> None:
    add_run(store)
    add_run(store, "two")
    for made in (series(), series(kind="inference"), series("two")):
        store.save_series(made)
    assert {one.key.probe_kind for one in store.series("one")} == {"paraphrase", "inference"}
    assert store.series("two") == [series("two")]
    assert store.series("three") == []
    store.delete_run("one")
    assert store.series("one") == []
    assert store.series("two") == [series("two")]


def test_a_series_saved_again_replaces_the_one_before(store: Store) -> None:
    store.save_series(series().model_copy(update={"graphs": ()}))
    store.save_series(series())
    assert store.series("one") == [series()]


def test_a_run_that_a_policy_stopped_is_finished(store: Store) -> None:
    add_run(store, steps=(0, 2))
    assert not store.runs()[0].finished
    verdict = Verdict(stop=True, reason="flat")
    stopped = RunDecisions(decisions=(Decision(step=2, verdict=verdict),), stopped_at=2)
    store.save_decisions("one", stopped)
    assert store.runs()[0].finished
    assert store.decisions("one") == stopped


def test_a_run_without_decisions_has_empty_ones_and_a_damaged_file_is_told(store: Store) -> None:
    add_run(store, steps=(0, 2))
    assert store.decisions("one") == RunDecisions()
    (store.run_folder("one") / "decisions.json").write_text("{", encoding="utf-8")
    assert not store.runs()[0].finished
    with pytest.raises(Damaged):
        store.decisions("one")
    assert any("decisions.json" in str(problem.path) for problem in store.check())


def test_a_study_comes_back_with_its_tables_to_the_bit(store: Store) -> None:
    folder = store.save_study(study(), tables())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert store.study("grid") == study()
    assert store.studies() == [study()]
    back = store.study_tables("grid")
    pd.testing.assert_frame_equal(back.runs, tables().runs)
    pd.testing.assert_frame_equal(back.captures, tables().captures)
    store.save_study(study(), back)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_damaged_tables_and_unknown_studies_are_told(store: Store) -> None:
    folder = store.save_study(study(), tables())
    (folder / "runs.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(Damaged):
        store.study_tables("grid")
    with pytest.raises(NotFound):
        store.study("other")


def test_outcomes_are_kept_one_by_one_and_a_damaged_one_is_left_out(store: Store) -> None:
    outcome = RunOutcome(
        config=RunConfig(name="one", corpus="words"), captures=(), n_steps=4, stopped_at=None, train_s=1.0, look_s=0.0,
        refresh_s=0.0, waited_s=0.0,
    )  # fmt: skip
    store.save_outcome("grid", outcome)
    other = outcome.model_copy(update={"config": RunConfig(name="two", corpus="words")})
    store.save_outcome("grid", other)
    assert store.outcomes("grid") == {"one": outcome, "two": other}
    (store.workspace / "studies" / "grid" / "results" / "one.json").write_text("[]", encoding="utf-8")
    assert store.outcomes("grid") == {"two": other}


def test_the_bundled_study_can_be_done_again_under_its_name(tmp_path: Path) -> None:
    bundled = Store(tmp_path / "demo", bundled=None)
    bundled.save_study(study(), tables())
    store = Store(tmp_path / "work", bundled=tmp_path / "demo")
    assert store.study("grid").n_runs == 1
    store.save_study(study().model_copy(update={"n_runs": 7}), tables())
    assert store.study("grid").n_runs == 7
    assert [one.n_runs for one in store.studies()] == [7]
