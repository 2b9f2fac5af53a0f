"""Train: the form, a run that has finished, one that was interrupted, one that is not there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import Train
from engine.domain.runs import RunConfig
from engine.store import Store
from pages._ui import session
from pages._ui.run_view import timeline

OpenPage = Callable[..., AppTest]


def _press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_without_a_corpus_the_page_leads_to_one(open_page: OpenPage) -> None:
    app = open_page("train", bundled=None)
    assert not app.exception
    assert "There is no corpus to train on yet." in texts(app)
    assert "Nothing has been trained yet." in texts(app)


def test_a_finished_run_shows_its_checkpoints_and_the_way_on(open_page: OpenPage) -> None:
    app = open_page("train", run="demo-tokens")
    assert not app.exception
    assert not app.error
    shown = texts(app)
    assert ":blue-badge[base]" in shown
    assert ":blue-badge[100%]" in shown
    assert "finished · tokens on demo" in shown
    assert "Delete" not in [button.label for button in app.button]  # the bundled runs are read-only


def test_start_submits_what_the_form_says(open_page: OpenPage) -> None:
    app = open_page("train")
    next(box for box in app.selectbox if box.label == "Method").select("tokens").run()
    next(field for field in app.number_input if field.label == "Steps").set_value(4)
    next(field for field in app.text_input if field.label.startswith("Checkpoints")).set_value("50, 100")
    _press(app, "Start training")
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    config = request.config
    assert (config.name, config.method, config.n_steps, config.capture) == ("demo-tokens-2", "tokens", 4, (0.5, 1.0))
    assert (config.rank, config.alpha, config.learning_rate) == (8, 16, None)
    assert app.query_params["run"] == "demo-tokens-2"


@pytest.mark.parametrize(
    ("name", "message"), [("<b>../x", "cannot be a name"), ("demo-lora", "There is a run named “demo-lora” already")]
)
def test_a_name_that_cannot_be_used_is_refused_in_words(open_page: OpenPage, name: str, message: str) -> None:
    app = open_page("train")
    next(field for field in app.text_input if field.label == "Name of the run").set_value(name)
    _press(app, "Start training")
    assert not app.exception
    assert message in texts(app)
    assert session.jobs().snapshot() == []


def test_bad_percentages_are_refused_in_words(open_page: OpenPage) -> None:
    app = open_page("train")
    next(field for field in app.text_input if field.label.startswith("Checkpoints")).set_value("half")
    _press(app, "Start training")
    assert "“half” are no percentages" in texts(app)
    assert session.jobs().snapshot() == []


def test_a_run_that_stopped_early_can_be_resumed_or_deleted(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    store.create_run(RunConfig(name="half", corpus="demo", n_steps=5))
    app = open_page("train", run="half")
    assert not app.exception
    assert "stopped at" in texts(app)
    _press(app, "Delete for good")
    assert not app.exception
    assert "half" not in [info.name for info in store.runs()]


def test_an_address_that_names_no_run_says_so(open_page: OpenPage) -> None:
    app = open_page("train", run="$x$ :smile:")
    assert not app.exception
    assert "the run “$x$ :smile:”, which is not here" in texts(app)


def test_the_timeline_tells_kept_from_planned() -> None:
    config = RunConfig(name="x", corpus="demo", n_steps=100, capture=(0.5, 1.0))
    expected = "Checkpoints :blue-badge[base] :blue-badge[50%] :gray-badge[100%]"
    assert timeline(config, [0, 50]) == expected
