"""The committed study: it is the one that its file asks for, whole, and its findings follow from its tables."""

from pathlib import Path

import numpy as np

from engine.analysis.curves import wilson
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS
from engine.domain.studies import Study, StudyTables
from engine.store import BUNDLED
from engine.studies.findings import findings
from engine.studies.spec import read_study, study_runs

FILE = BUNDLED.parent / "study.yaml"
STUDY = "demo"


def test_every_run_that_the_file_asks_for_is_in_it(study: Study, tables: StudyTables) -> None:
    assert study.spec == read_study(FILE)
    wanted = [run.name for run in study_runs(study.spec)]
    assert sorted(tables.runs["run"]) == sorted(wanted)
    assert study.n_runs == len(wanted)
    assert study.failed == {}
    assert set(tables.captures["run"]) == set(wanted)


def test_it_has_ten_seeds_of_each_method_policy_and_control(study: Study, tables: StudyTables) -> None:
    runs = tables.runs
    plain = runs[(runs["corpus"] == "demo") & (runs["learning_rate"] > 0)]
    for stopping, curriculum in [(name, "uniform") for name in STOPPING_INFOS] + [
        ("none", name) for name in CURRICULUM_INFOS
    ]:
        group = plain[(plain["stopping"] == stopping) & (plain["curriculum"] == curriculum)]
        assert (group.groupby("method")["seed"].nunique() >= 10).all()
        assert set(group["method"]) == {method for grid in study.spec.grids for method in grid.methods}
    assert runs[runs["corpus"].str.startswith("demo-shuffled-")]["corpus"].nunique() >= 10
    assert runs[runs["learning_rate"] == 0]["seed"].nunique() >= 10


def test_the_findings_follow_from_the_tables(study: Study, tables: StudyTables) -> None:
    assert len(study.findings) == 10
    command = study.findings[0].command
    assert command == "python -m engine study data/study.yaml"
    assert findings(tables, study.spec, command=command) == study.findings


def test_the_controls_hold(tables: StudyTables) -> None:
    captures = tables.captures.merge(tables.runs[["run", "corpus", "learning_rate"]], on="run")
    still = captures[(captures["learning_rate"] == 0) & captures["change"].notna()]
    assert len(still) >= 200
    assert (still["change"] == 0).all()
    shuffled = captures[captures["corpus"].str.startswith("demo-shuffled-") & (captures["step"] == 300)]
    n_words = 10 * shuffled["corpus"].nunique()  # of one corpus, what luck gave a word is the same in every run
    low, high = wilson(np.array([shuffled["paraphrase"].mean() * n_words]), np.array([n_words]))
    assert low[0] <= 1 / 5 <= high[0]


def test_its_folder_holds_no_more_than_is_shown() -> None:
    folder = BUNDLED / "studies" / "demo"
    assert {path.name for path in Path(folder).iterdir()} == {"study.json", "runs.csv.gz", "captures.csv.gz"}
