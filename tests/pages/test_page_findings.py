"""Findings: no study, one, several; wrong addresses; a study that is not finished; hostile and damaged files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.studies import Finding, FindingFigure, Grid, Study, StudySpec, StudyTables
from engine.figures.finding_chart import finding_charts
from engine.store import Store
from engine.studies.findings import findings
from tests.studies.made_tables import SPEC, grid, ranked_places, tables

OpenPage = Callable[..., AppTest]
ROOT = Path(__file__).parents[2]
COMMAND = "python -m engine study data/study.yaml"
HOSTILE = "<script>alert(1)</script> **bold** $x$ :smile: [a](javascript:x)"


def keep(name: str, *made: Finding, n_seeds: int = 6) -> Study:
    """A study in the workspace that the page reads."""
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)
    own, spec, found = made_study(name, n_seeds)
    study = Study(spec=spec, n_runs=len(own.runs), findings=made or found)
    store.save_study(study, own)
    return study


@cache
def made_study(name: str, n_seeds: int) -> tuple[StudyTables, StudySpec, tuple[Finding, ...]]:
    """Tests only read it."""
    own, spec = tables(grid(n_seeds=n_seeds)), SPEC.model_copy(update={"name": name})
    return own, spec, findings(own, spec, command=COMMAND)


def test_without_a_study_the_page_says_how_to_make_one(open_page: OpenPage) -> None:
    app = open_page("findings", bundled=None)
    assert not app.exception
    assert "There is no study yet." in texts(app)
    assert app.code[0].value == COMMAND


def test_every_question_with_verdict_answer_figures_and_command(open_page: OpenPage) -> None:
    study = keep("one")
    app = open_page("findings", bundled=None)
    assert not app.exception
    assert not app.error
    said = texts(app)
    for finding in study.findings:
        assert finding.question in said
        assert finding.answer in said
        assert finding.evidence in said
        for sentence in finding.details:
            assert sentence in said
    assert [heading.anchor for heading in app.subheader] == [finding.key for finding in study.findings]
    verdicts = [heading.value.rpartition("-badge[")[2].partition(": ")[2].rstrip("]") for heading in app.subheader]
    assert verdicts == [finding.verdict for finding in study.findings]
    assert [line.value for line in app.code] == [COMMAND] * len(study.findings)
    assert len(app.dataframe) == sum(bool(finding.figures) for finding in study.findings)
    assert len(app.get("vega_lite_chart")) == sum(len(finding_charts(finding)) for finding in study.findings)


def test_the_first_sentence_counts_what_is_in_the_tables(open_page: OpenPage) -> None:
    keep("one", n_seeds=7)
    said = texts(open_page("findings", bundled=None))
    assert "**21 fine-tunes**" in said  # three methods, seven seeds
    assert "7 seeds; LoRA · New tokens only · LoRA and new tokens" in said


def test_several_studies_have_a_picker_and_an_address(open_page: OpenPage) -> None:
    keep("older", n_seeds=5)
    keep("newer")
    app = open_page("findings", bundled=None)
    assert app.selectbox[0].options == ["newer", "older"]
    assert app.query_params["study"] == "newer"
    app.selectbox[0].set_value("older").run()
    assert app.query_params["study"] == "older"
    assert "**15 fine-tunes**" in texts(app)


@pytest.mark.parametrize("names", [["one"], ["one", "two"]])
def test_a_study_that_is_not_there_is_named(open_page: OpenPage, names: list[str]) -> None:
    for name in names:
        keep(name)
    app = open_page("findings", bundled=None, study="<b>nobody</b>")
    assert not app.exception
    assert "the study “<b>nobody</b>”, which is not here" in texts(app)
    assert app.query_params["study"] in names
    assert len(app.subheader) == len(findings(tables(grid()), SPEC, command=COMMAND))


def test_a_study_under_way_says_so(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)
    store.save_study(Study(spec=SPEC, n_runs=2), tables(grid(n_seeds=1)))
    app = open_page("findings", bundled=None)
    assert not app.exception
    assert "No findings yet; 2 runs finished." in texts(app)


def test_a_study_of_measures_has_its_own_terms_and_rows_of_charts(open_page: OpenPage) -> None:
    spec = StudySpec(name="measured", asks="measures", grids=(Grid(),))
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)
    made = replace(tables(grid(n_seeds=3)), rankings=ranked_places({"gradient": 0.8, "size": 0.2, "random": 0.1}))
    store.save_study(Study(spec=spec, n_runs=9, findings=findings(made, spec, command=COMMAND)), made)
    app = open_page("findings", bundled=None)
    assert not app.exception
    said = texts(app)
    assert "some made again without some of their examples" in said
    assert "a mean over words, or over prompts" in said
    assert "“measure: [taught]”" in said  # what the other question lacks
    assert len(app.get("vega_lite_chart")) == 4  # rank correlation, and what the first 1, 5 and 20 take back
    assert any(line.value.endswith("--keep measured") for line in app.code)


def test_tables_that_cannot_be_read_leave_the_findings(open_page: OpenPage) -> None:
    keep("one")
    for table in Path(os.environ["TRACELAPSE_HOME"]).glob("studies/one/*.csv.gz"):
        table.write_bytes(b"no table")
    app = open_page("findings", bundled=None)
    assert not app.exception
    assert "tables cannot be read" in texts(app)
    assert len(app.subheader) == 10


def test_texts_of_a_study_are_texts_only(open_page: OpenPage) -> None:
    figure = FindingFigure(name=HOSTILE, value=1, low=0, high=2, n=9, unit=HOSTILE)
    keep(
        "one",
        Finding(
            key="made", question=HOSTILE, verdict="no", answer=HOSTILE, figures=(figure,), axis=HOSTILE,
            line=HOSTILE, details=(HOSTILE,), evidence=HOSTILE, command=HOSTILE,
        ),
    )  # fmt: skip
    app = open_page("findings", bundled=None)
    assert not app.exception
    assert HOSTILE in texts(app)  # with the escapes taken out
    for written in (*app.markdown, *app.caption, *app.subheader):
        assert HOSTILE not in str(written.value)  # with them


def test_numbers_are_folded_away_under_one_plain_sentence(open_page: OpenPage) -> None:
    study = keep("one")
    app = open_page("findings", bundled=None)
    assert [expander.label for expander in app.expander] == ["Details"] * len(study.findings)
    folded = {str(element.value) for expander in app.expander for element in expander.markdown}
    assert not any("95%" in finding.answer or "n =" in finding.answer for finding in study.findings)
    assert sum("Weak spots." in text for text in folded) == sum(bool(finding.evidence) for finding in study.findings)


def test_a_study_of_before_is_still_read() -> None:
    """Its findings had one line for all figures of a kind, and no details."""
    made = keep("one").findings[0]
    before = made.model_dump(mode="json", exclude={"details", "line"}) | {"reference": 0.5}
    for figure in before["figures"]:
        del figure["null"], figure["drawn"]
    assert [figure.null for figure in Finding.model_validate(before).figures] == [0.5] * len(made.figures)


def test_what_can_be_taken_away(open_page: OpenPage) -> None:
    keep("one")
    app = open_page("findings", bundled=None)
    labels = [button.label for button in app.get("download_button")]
    assert labels == ["Findings (JSON)", "Runs (CSV)", "Captures (CSV)"]


def test_the_csv_and_the_json_hold_the_study(open_page: OpenPage) -> None:
    from pages._ui.findings.view import _csv

    study = keep("one")
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)
    assert len(_csv(store, "one", "runs").splitlines()) == 18 + 1
    assert Study.model_validate(json.loads(study.to_json())) == study


SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60)
app.switch_page("pages/findings.py")
app.run()
assert not app.exception and not app.error, (app.exception, app.error)
heavy = {"torch", "transformers", "scipy.stats", "engine.studies"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_page_computes_nothing_anew() -> None:
    """It reads what the study stored: neither torch nor the statistics are loaded."""
    keep("one")
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
