"""The committed study of methods: it is the one that its file asks for, whole, and its findings follow from it."""

from engine.domain.studies import Study, StudyTables
from engine.store import BUNDLED
from engine.studies.comparison import equal_size, study_rows
from engine.studies.findings import METHOD_QUESTIONS, findings
from engine.studies.spec import read_study, study_runs

FOLDER = BUNDLED / "studies" / "methods"
STUDY = "methods"


def test_every_run_that_the_file_asks_for_is_in_it(study: Study, tables: StudyTables) -> None:
    assert study.spec == read_study(BUNDLED.parent / "methods.yaml")
    wanted = [run.name for run in study_runs(study.spec)]
    assert sorted(tables.runs["run"]) == sorted(wanted)
    assert study.n_runs == len(wanted)
    assert study.failed == {}


def test_every_way_to_train_has_five_seeds_and_an_equal_search(tables: StudyTables) -> None:
    ways = tables.runs.groupby(["corpus", "method", "variant", "stage"])
    counts = ways["seed"].nunique().unstack("stage")
    assert (counts["grid"] >= 5).all()
    tried = ways["learning_rate"].nunique().unstack("stage")
    assert tried["search"].nunique() == counts["search"].nunique() == 1
    assert (tried["grid"] == 1).all()


def test_the_compared_methods_are_of_equal_size(tables: StudyTables) -> None:
    from engine.figures.method_charts import method_means

    equal = equal_size(method_means(study_rows(tables)))
    assert {"LoRA", "AdaLoRA", "CircuitLoRA", "CircuitLoRA · union", "LoRA, random layers"} <= set(equal)


def test_the_findings_follow_from_the_tables(study: Study, tables: StudyTables) -> None:
    assert len(study.findings) == len(METHOD_QUESTIONS)
    command = "python -m engine study data/methods.yaml"
    assert findings(tables, study.spec, command=command) == study.findings


def test_its_folder_holds_no_more_than_is_shown() -> None:
    tables = {f"{name}.csv.gz" for name in ("runs", "captures", "components", "circuits")}
    assert {path.name for path in FOLDER.iterdir()} == {"study.json", *tables}
