"""Compare's view of where training acted: offered for any two checkpoints, then the sentence, the map and tables."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import FindExamples, NeverCancelled, Where, quiet
from engine.store import Store
from engine.workflows.prompt_groups import probe_groups
from engine.workflows.taught import find_examples
from engine.workflows.where import where

OpenPage = Callable[..., AppTest]
A, B, PROMPT = "demo-tokens@base", "demo-tokens@100%", "the cat feels blarf and"


def _measure(a: str = A, b: str = B) -> None:
    where(Store(Path(os.environ["TRACELAPSE_HOME"])), Where(a=a, b=b, prompt=PROMPT), quiet, NeverCancelled())


def test_it_is_offered_and_then_shown(open_page: OpenPage) -> None:
    app = open_page("compare", a=A, b=B, prompt=PROMPT, view="where")
    assert not app.exception
    assert "Where did training act?" in texts(app)
    assert "Find where training acted" in [button.label for button in app.button]
    _measure()
    app.run()
    assert not app.exception
    assert "the logit of “smiles” changes by +7.86" in texts(app)
    assert "+7.86 at “blarf”" in texts(app)
    tokens = app.dataframe[0].value
    assert list(tokens.columns) == ["token", "part", "to 25%", "to 50%", "to 75%", "to 100%"]
    assert abs(tokens["part"].sum() - 7.86) < 0.01
    assert len(app.get("vega_lite_chart")) == 1
    assert [tab.label for tab in app.tabs] == ["Tokens", "Matrices", "Heads", "What matters most"]


def test_it_is_the_first_answer_where_nothing_was_traced(open_page: OpenPage) -> None:
    app = open_page("compare", a="demo-lora@base", b="demo-lora@50%", prompt="the dog feels gleem and")
    assert not app.exception
    labels = [button.label for button in app.button]
    assert labels.index("Find where training acted") < labels.index("Trace this comparison")


def test_a_checkpoint_and_itself(open_page: OpenPage) -> None:
    _measure(A, A)
    app = open_page("compare", a=A, b=A, prompt=PROMPT, view="where")
    assert not app.exception
    assert "have the same weights" in texts(app)
    assert not app.get("vega_lite_chart")


EARLY = "demo-tokens@step10"  # one stretch to go over


def test_the_examples_are_offered_and_then_shown(open_page: OpenPage) -> None:
    app = open_page("compare", a=A, b=EARLY, prompt=PROMPT, view="where")
    assert "Which examples taught it?" in texts(app)
    assert "Find the examples" in [button.label for button in app.button]
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    request = FindExamples(checkpoint=store.checkpoint(EARLY).ref, prompt=PROMPT)
    find_examples(store, request, quiet, NeverCancelled())
    app.run()
    assert not app.exception
    assert "Find the examples" not in [button.label for button in app.button]
    rows = app.dataframe[0].value
    assert list(rows.columns) == ["push", "sentence", "teaches"]
    assert len(rows) == 50
    assert set(rows["teaches"][abs(rows["push"]) > 0]) == {"blarf"}  # no other word's embedding is in the prompt
    assert abs(rows["push"]).max() == 1


def test_of_a_type_too(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    title = next(one.title for one in probe_groups(store, A, B) if one.constraint_type == "simple_mapping")
    app = open_page("compare", a=A, b=B, prompt=title, view="where")
    assert not app.exception
    assert "the probes of the type simple_mapping" in texts(app)
    assert "Find the examples" in [button.label for button in app.button]


def test_no_example_taught_the_base(open_page: OpenPage) -> None:
    app = open_page("compare", a=B, b=A, prompt=PROMPT, view="where")
    assert not app.exception
    assert "Which examples taught it?" not in texts(app)


def test_examples_of_an_imported_run_are_not_known(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    store.save_run(store.run("demo-tokens").model_copy(update={"name": "theirs", "imported": True}))
    folder = store.workspace / "runs" / "theirs" / "checkpoints"
    shutil.copytree(store.run_folder("demo-tokens") / "checkpoints", folder, dirs_exist_ok=True)
    store.sync()
    app = open_page("compare", a="theirs@base", b="theirs@100%", prompt=PROMPT, view="where")
    assert "trained elsewhere and imported" in texts(app)
    assert "Find the examples" not in [button.label for button in app.button]
