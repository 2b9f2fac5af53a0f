"""Methods: nothing to compare, a study, a person's own runs; what is picked opens; hostile and damaged files."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.corpus import TaskSpec
from engine.domain.studies import Grid, RateSearch, Study, StudySpec, StudyTables
from engine.store import Store
from engine.studies.comparison import equal_size, finished_runs, own_rows, requested_run, run_row, study_rows
from engine.studies.findings import findings
from tests.studies.made_methods import COMMAND, method_tables

OpenPage = Callable[..., AppTest]
ROOT = Path(__file__).parents[2]
SPEC = StudySpec(
    name="methods",
    asks="methods",
    search=RateSearch(factors=(0.5, 1), seeds=(99,)),
    make=(TaskSpec(name="add-sub", task="addition_subtraction", n_retention=2),),
    grids=(
        Grid(corpora=("add-sub", "mul-div", "composition", "demo"), methods=("lora",), seeds=(0, 1, 2), search=True),
    ),
)


def workspace() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)


def keep(name: str = "methods", *, n_seeds: int = 3) -> Study:
    study, made = made_study(name, n_seeds)
    workspace().save_study(study, made)
    return study


@cache
def made_study(name: str, n_seeds: int) -> tuple[Study, StudyTables]:
    """Tests only read it."""
    made, spec = method_tables(n_seeds=n_seeds), SPEC.model_copy(update={"name": name})
    return Study(spec=spec, n_runs=len(made.runs), findings=findings(made, spec, command=COMMAND)), made


def test_with_nothing_to_compare_the_page_says_what_to_do(open_page: OpenPage) -> None:
    app = open_page("methods", bundled=None)
    assert not app.exception
    assert "There is nothing to compare yet." in texts(app)
    assert app.code[0].value == "python -m engine study data/methods.yaml"


def test_a_study_as_table_chart_and_runs(open_page: OpenPage) -> None:
    keep()
    app = open_page("methods", bundled=None)
    assert not app.exception
    assert not app.error
    said = texts(app)
    assert "**51 fine-tunes**" in said  # 4 methods on 4 tasks and one variant, 3 seeds; the search's run is not there
    assert "5 methods, 4 tasks, 3 seeds, each at the best of 2 learning rates" in said
    table, runs = (frame.value for frame in app.dataframe)
    assert list(table["task"]) == ["add-sub", "mul-div", "composition", "demo", "trainable parameters"]
    assert table["LoRA"].iloc[0] == "50% (50% to 50%)"
    assert table["LoRA"].iloc[-1] == "164,864"
    assert len(runs) == 51
    assert len(app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")) == 4 + 1  # a task each, and the legend


def test_what_is_retained_and_the_other_charts_are_in_the_address(open_page: OpenPage) -> None:
    keep()
    app = open_page("methods", bundled=None, judged="retained", view="time")
    assert not app.exception
    assert app.dataframe[0].value["LoRA"].iloc[0] == "60% (60% to 60%)"
    app = open_page("methods", bundled=None, judged="beauty", view="retained")
    assert not app.exception
    assert "the figure “beauty”, which is not here" in texts(app)


def test_methods_of_equal_size_alone_or_all(open_page: OpenPage) -> None:
    made = method_tables(
        lambda corpus, method, *_: {"n_trainable": 1_000_000} if method == "circuit_tuning" else {}, n_seeds=3
    )
    workspace().save_study(Study(spec=SPEC, n_runs=1), made)
    app = open_page("methods", bundled=None)
    assert "Circuit-tuning" not in app.dataframe[0].value.columns
    app.toggle[0].set_value(False).run()
    assert app.query_params["size"] == "all"
    assert app.dataframe[0].value["Circuit-tuning"].iloc[-1] == "1,000,000"


def test_a_run_of_a_study_shows_how_it_was_trained_and_can_be_trained_here(open_page: OpenPage) -> None:
    keep()
    app = open_page("methods", bundled=None, run="add-sub-lora-s1")
    assert not app.exception
    assert "Train it here to open it in Learning curves" in texts(app)
    assert "python -m engine train --name add-sub-lora-s1 --corpus add-sub" in app.code[0].value
    (make,) = [button for button in app.button if button.label == "Create its corpora"]
    make.click().run()
    assert not app.exception
    assert [info.name for info in workspace().corpora()] == ["add-sub"]
    (train,) = [button for button in app.button if button.label == "Train it here"]
    train.click().run()
    from pages._ui.session import jobs

    (job,) = jobs().snapshot()
    assert (job.request.config.name, job.request.config.corpus) == ("add-sub-lora-s1", "add-sub")


def test_a_corpus_that_cannot_be_made_here_is_told(open_page: OpenPage) -> None:
    keep()
    app = open_page("methods", bundled=None, run="mul-div-lora-s1")
    assert "it creates the corpus “mul-div”" in texts(app)


def test_a_run_that_the_study_does_not_ask_for_is_told(open_page: OpenPage) -> None:
    keep()
    app = open_page("methods", bundled=None, run="add-sub-circuit_lora-s1")
    assert "no longer part of the study" in texts(app)
    app = open_page("methods", bundled=None, run="nobody")
    assert not app.exception


def test_own_runs_open_their_pages(open_page: OpenPage) -> None:
    app = open_page("methods", **{"from": "your runs", "run": "demo-lora"})
    assert "finished runs** of this workspace" in texts(app)
    assert not app.exception
    links = [link.proto.label for link in app.get("page_link")]
    assert {"Learning curves", "Circuits", "How it was trained"} <= set(links)


def test_several_studies_have_a_picker(open_page: OpenPage) -> None:
    keep("older")
    keep("newer", n_seeds=4)
    app = open_page("methods", bundled=None)
    assert app.selectbox[0].options == ["newer", "older", "your runs"]
    app.selectbox[0].set_value("older").run()
    assert app.query_params["from"] == "older"
    assert "**51 fine-tunes**" in texts(app)
    app.selectbox[0].set_value("your runs").run()
    assert "None of your runs has finished" in texts(app)


@pytest.mark.parametrize("content", [b"no table", b""])
def test_tables_that_cannot_be_read_are_told(open_page: OpenPage, content: bytes) -> None:
    keep()
    for table in Path(os.environ["TRACELAPSE_HOME"]).glob("studies/methods/runs.csv.gz"):
        table.write_bytes(content)
    app = open_page("methods", bundled=None)
    assert not app.exception
    assert "The tables of this study cannot be read" in texts(app)


def test_a_study_without_finished_runs(open_page: OpenPage) -> None:
    made = method_tables(n_seeds=3)
    workspace().save_study(Study(spec=SPEC), StudyTables(made.runs.iloc[:1], made.captures))  # its search has one
    assert "No run of this study has finished" in texts(open_page("methods", bundled=None))


def test_equal_sizes_are_the_largest_group_within_five_percent() -> None:
    def means(**sizes: float) -> pd.DataFrame:
        return pd.DataFrame({"name": list(sizes), "n_trainable": list(sizes.values())})

    assert equal_size(means(a=100, b=104, c=98, d=1000, e=1010)) == [
        "a",
        "b",
    ]  # 98 to 104 is too far; the first of equals
    assert equal_size(means(a=100, b=102, c=99, d=1000)) == ["a", "b", "c"]
    assert equal_size(means(a=1, b=2)) == ["a", "b"]
    assert equal_size(means()) == []


def test_rows_of_a_study_of_before_are_none() -> None:
    made = method_tables()
    before = type(made)(made.runs.drop(columns=["stage", "accuracy"]), made.captures)
    assert study_rows(before).empty


def test_the_run_that_a_study_asks_for_has_the_rate_that_was_found() -> None:
    found = requested_run(SPEC, "add-sub-lora-s1", 1e-3)
    assert found is not None
    assert found.config.learning_rate == 1e-3
    own = requested_run(SPEC, "add-sub-lora-s1", 2e-3)
    assert own is not None
    assert own.config.learning_rate is None  # the method's own
    assert requested_run(SPEC, "add-sub-lora-s9", 1e-3) is None


def test_own_runs_are_compared_by_their_scores(demo_store: Store) -> None:
    from engine.workflows.queries import run_scores

    infos = finished_runs(demo_store)
    assert {"demo-lora", "demo-tokens"} <= {info.name for info in infos}
    rows = own_rows([row for info in infos if (row := run_row(demo_store, info, demo_store.corpus))]).set_index("run")
    scores = run_scores(demo_store, "demo-lora")
    end = scores[(scores["step"] == scores["step"].max()) & scores["probe_kind"].isin(["paraphrase", "inference"])]
    assert rows.loc["demo-lora", "accuracy"] == pytest.approx(end["accuracy"].mean())
    assert rows.loc["demo-lora", "task"] == "demo"
    assert (rows["variant"] == "").all()


SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60)
app.switch_page("pages/methods.py")
app.run()
assert not app.exception and not app.error, (app.exception, app.error)
heavy = {"torch", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_page_needs_no_torch() -> None:
    keep()
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
