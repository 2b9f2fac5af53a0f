"""The committed study of measures: it is the one that its file asks for, whole, and its findings follow from it."""

from engine.demo import recipe
from engine.domain.studies import ACTED_ROLES, Study, StudyTables
from engine.store import BUNDLED
from engine.studies.findings import MEASURE_QUESTIONS, findings
from engine.studies.spec import read_study, study_runs

FOLDER = BUNDLED / "studies" / "measures"
STUDY = "measures"


def test_every_run_that_the_file_asks_for_is_in_it(study: Study, tables: StudyTables) -> None:
    assert study.spec == read_study(BUNDLED.parent / "measures.yaml")
    wanted = [run.name for run in study_runs(study.spec)]
    assert sorted(tables.runs["run"]) == sorted(wanted)
    assert study.n_runs == len(wanted)
    assert study.failed == study.unmeasured == {}


def test_every_word_s_examples_were_left_out_on_three_seeds(tables: StudyTables) -> None:
    of_run = tables.taught.groupby("run")["constraint"].nunique()
    assert (of_run == 10).all()
    assert (tables.runs[tables.runs["run"].isin(of_run.index)].groupby("method")["seed"].nunique() >= 3).all()


def test_every_word_is_followed_over_whole_runs_on_three_seeds(tables: StudyTables) -> None:
    words = tables.acted.groupby("run")
    assert (words["constraint"].nunique() == 10).all()
    assert (words["step"].max() == 300).all()
    assert (tables.runs[tables.runs["run"].isin(words.groups)].groupby("method")["seed"].nunique() >= 3).all()
    made = tables.acted[[*ACTED_ROLES]].sum(axis=1) - tables.acted["change"]
    assert made.abs().max() < 0.1  # of what is left of a stretch that an average one of its course may leave


def test_rankings_are_of_both_bundled_runs_beside_random_groups(tables: StudyTables) -> None:
    own = tables.rankings[tables.rankings["run"].isin([recipe.RUN_A, recipe.RUN_B])]
    for _, rows in own.groupby("what"):
        assert rows["run"].nunique() == 2
        assert "random" in set(rows["ranking"])
        assert rows.loc[rows["is_default"], "ranking"].nunique() == 1
    assert set(own["what"]) == {"MLPs", "features", "edges"}


def test_the_findings_follow_from_the_tables(study: Study, tables: StudyTables) -> None:
    assert len(study.findings) == len(MEASURE_QUESTIONS)
    assert study.command == "python -m engine study data/measures.yaml"
    assert findings(tables, study.spec, command=study.command) == study.findings


def test_its_folder_holds_no_more_than_is_shown() -> None:
    tables = {f"{name}.csv.gz" for name in ("runs", "captures", "acted", "taught", "rankings")}
    assert {path.name for path in FOLDER.iterdir()} == {"study.json", *tables}
