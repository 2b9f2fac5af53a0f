"""Corpus: files with other names, Parquet, and the example that the page gives."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.corpus.format import EXAMPLE_CSV, format_text
from engine.store import Store

OpenPage = Callable[..., AppTest]
ALPACA = (
    "instruction,input,output,category,rating\nSay what blarf means.,,happy,General QA,5\nAdd,7 and 5,twelve,Sums,4\n"
)


def _store() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)


def _choose(app: AppTest, name: str, content: bytes) -> AppTest:
    return app.file_uploader[0].set_value((name, content, "text/plain")).run()


def _press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def _field(app: AppTest, label: str):  # type: ignore[no-untyped-def]
    return next(one for one in (*app.selectbox, *app.multiselect) if one.label == label)


def _parquet(text: str) -> bytes:
    out = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize(("name", "content"), [("alpaca.csv", ALPACA.encode()), ("alpaca.parquet", _parquet(ALPACA))])
def test_columns_of_other_names_are_guessed_shown_and_imported(open_page: OpenPage, name: str, content: bytes) -> None:
    app = _choose(open_page("corpus", bundled=None), name, content)
    assert not app.exception
    assert list(app.dataframe[0].value.columns) == ["instruction", "input", "output", "category", "rating"]
    assert _field(app, "Prompt").value == ["instruction", "input"]
    assert _field(app, "Completion").value == "output"
    assert "Left out: rating." in texts(app)
    assert "is ready to import: 2 training examples" in texts(app)
    assert list(app.dataframe[-1].value["text"]) == ["Say what blarf means. happy", "Add\n7 and 5 twelve"]
    _press(app, "Import corpus")
    assert [(one.text, one.constraint_type) for one in _store().corpus("alpaca").examples] == [
        ("Say what blarf means. happy", "general_qa"), ("Add\n7 and 5 twelve", "sums"),
    ]  # fmt: skip


def test_rows_with_a_column_of_kinds_are_probes_at_once(open_page: OpenPage) -> None:
    app = _choose(open_page("corpus", bundled=None), "p.csv", b"prompt,answer,type\nThe cat is,happy,Recall\n")
    assert not app.exception
    assert _field(app, "Probe kind").value == "type"
    _press(app, "Import corpus")
    (probe,) = _store().corpus("p").probes
    assert (probe.text, probe.answer, probe.kind) == ("The cat is", "happy", "recall")


def test_a_mistake_in_the_form_is_said_once_and_at_its_field(open_page: OpenPage) -> None:
    rows = "".join(f"The animal {n} lives in the,swamp,recall,tarsk\n" for n in range(40))
    app = _choose(open_page("corpus", bundled=None), "p.csv", f"question,answer,kind,animal\n{rows}".encode())
    assert not app.exception
    of_all = next(box for box in app.text_input if box.label == "Constraint type of all rows")
    of_all.set_value("made-up animals").run()
    assert "is ready to import: 40 probes" in texts(app)
    next(box for box in app.text_input if box.label == "Constraint type of all rows").set_value("звери").run()
    assert "“звери” is no constraint type" in texts(app)
    assert "Line 2" not in texts(app)
    assert "Fix the file" not in texts(app)
    assert "Import corpus" not in [button.label for button in app.button]
    next(box for box in app.text_input if box.label == "Constraint type of all rows").set_value("animals").run()
    _field(app, "Word").set_value("animal").run()
    assert "Word needs Meaning: choose the column for it, too, or none for either." in texts(app)
    assert "Line 2" not in texts(app)
    _field(app, "Meaning").set_value("answer").run()
    assert not app.exception
    assert "is ready to import: 40 probes" in texts(app)


def test_another_choice_makes_probes_of_the_same_rows(open_page: OpenPage) -> None:
    app = _choose(open_page("corpus", bundled=None), "qa.csv", b"stem,key,other\nThe capital of Peru is,Lima,Quito\n")
    assert "Choose the column for text." in texts(app)
    assert "Import corpus" not in [button.label for button in app.button]
    next(one for one in app.segmented_control if one.label == "Its rows are").set_value("probe").run()
    _field(app, "Prompt").set_value(["stem"])
    _field(app, "Foils").set_value("other")
    _field(app, "Right answer").set_value("key").run()
    _field(app, "Probe kind of all rows").set_value("paraphrase").run()
    _press(app, "Import corpus")
    (probe,) = _store().corpus("qa").probes
    assert (probe.text, probe.answer, probe.foils, probe.kind) == (
        "The capital of Peru is", "Lima", ("Quito",), "paraphrase",
    )  # fmt: skip


def test_a_choice_that_fits_no_row_is_told_and_can_be_changed(open_page: OpenPage) -> None:
    app = _choose(open_page("corpus", bundled=None), "alpaca.csv", ALPACA.encode())
    _field(app, "Prompt").set_value(["input"]).run()
    assert "- **Line 2**: has nothing in “input”" in texts(app)
    assert "Or choose other columns above." in texts(app)
    _field(app, "Prompt").set_value(["instruction"]).run()
    assert "is ready to import" in texts(app)


def test_the_example_is_told_of_given_and_taken_again(open_page: OpenPage) -> None:
    app = open_page("corpus", bundled=None)
    assert format_text().splitlines()[0] in texts(app)
    assert "Download an example" in [button.proto.label for button in app.get("download_button")]
    _choose(app, "example.csv", EXAMPLE_CSV.encode())
    assert "is ready to import: 5 training examples, 2 probes (1 paraphrase, 1 inference) and 1 prompt pair." in texts(
        app
    )
    _press(app, "Import corpus")
    corpus = _store().corpus("example")
    assert (len(corpus.examples), len(corpus.probes), len(corpus.pairs)) == (5, 2, 1)
