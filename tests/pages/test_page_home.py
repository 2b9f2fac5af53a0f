"""Home: the story with measured figures, two ways in, what was done lately."""

import os
from collections.abc import Callable
from pathlib import Path

from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import Train
from engine.store import Store
from engine.workflows.queries import run_scores
from pages._ui import session

OpenPage = Callable[..., AppTest]


def test_the_story_shows_measured_figures(open_page: OpenPage) -> None:
    app = open_page("home")
    assert not app.exception
    assert not app.error
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    shown = [(metric.label, metric.value) for metric in app.metric]
    expected = []
    for run in ("demo-lora", "demo-tokens"):
        last = store.checkpoints(run)[-1]
        scores = run_scores(store, run)
        at_last = scores[scores["step"] == last.step]
        expected.append(("Loss", f"{last.state.smoothed_loss:.2f}"))
        for label, kind in (("Right answers", "paraphrase"), ("Meaning", "inference")):
            rows = at_last[at_last["probe_kind"] == kind]
            share = (rows["accuracy"] * rows["n"]).sum() / rows["n"].sum()
            expected.append((label, f"{100 * share:.0f} %"))
        expected.append(("Parameters", f"{last.state.n_trainable:,}"))
    assert shown == expected


def test_without_the_demo_home_says_what_to_do(open_page: OpenPage) -> None:
    app = open_page("home", bundled=None)
    assert not app.exception
    assert "The bundled demo is not here" in texts(app)
    assert all(button.disabled for button in app.button)


def test_run_it_live_submits_the_defaults_and_goes_to_train(open_page: OpenPage) -> None:
    app = open_page("home")
    next(button for button in app.button if button.label.startswith("Run it live")).click().run()
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    assert (request.config.name, request.config.corpus, request.config.method) == ("live", "demo", "lora")
    assert app.title[0].value == "Train"
    assert app.query_params["run"] == "live"


def test_see_what_two_runs_learned_goes_to_the_default_comparison(open_page: OpenPage) -> None:
    app = open_page("home")
    next(button for button in app.button if button.label.startswith("See what")).click().run()
    assert not app.exception
    assert app.query_params["a"] == "demo-lora@100%"
    assert app.query_params["b"] == "demo-tokens@100%"
