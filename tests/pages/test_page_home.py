"""Home: the story with measured figures, two ways in, what was done lately."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.demo.recipe import PROMPTS
from engine.domain.jobs import Beside, Train
from engine.domain.numbers import percent
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
        expected.append(("Training loss", f"{last.state.smoothed_loss:.2f}"))
        for label, kind in (("Paraphrase", "paraphrase"), ("Inference", "inference")):
            rows = at_last[at_last["probe_kind"] == kind]
            share = (rows["accuracy"] * rows["n"]).sum() / rows["n"].sum()
            expected.append((label, percent(float(share))))
        expected.append(("Trained parameters", f"{last.state.n_trainable:,}"))
    assert shown == expected


def test_without_the_demo_home_says_what_to_do(open_page: OpenPage) -> None:
    app = open_page("home", bundled=None)
    assert not app.exception
    assert "The bundled demo is not here" in texts(app)
    assert all(button.disabled for button in app.button)


def test_run_it_live_trains_the_bundled_recipe_watched_beside_the_other_run(open_page: OpenPage) -> None:
    app = open_page("home")
    app.button(key="run live").click().run()
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    bundled = session.store().run("demo-lora")
    same = ("corpus", "method", "rank", "alpha", "learning_rate", "n_steps", "capture", "seed")
    assert {name: getattr(request.config, name) for name in same} == {name: getattr(bundled, name) for name in same}
    assert request.config.watch
    assert request.beside == Beside(run="demo-tokens", prompt=PROMPTS[0])
    assert request.beside.prompt in {c.key.prompt for c in session.store().comparisons()}
    assert app.title[0].value == "A live run"
    assert app.query_params["live"] == "live"

    next(button for button in app.button if button.label == "Cancel").click().run()
    deadline = time.monotonic() + 60
    while session.jobs().snapshot()[0].state != "cancelled":  # it stops at the next point where it can
        assert time.monotonic() < deadline
        time.sleep(0.05)
    app.run()
    assert not app.exception
    assert "The live run was canceled" in texts(app)
    assert app.button(key="live resume")


def test_a_live_run_under_way_is_watched_not_begun_again(open_page: OpenPage) -> None:
    app = open_page("home")
    app.button(key="run live").click().run()
    app.button(key="back home").click().run()
    assert app.button(key="run live").label == "Watch the live run"
    app.button(key="run live").click().run()
    assert [job.title for job in session.jobs().snapshot()] == ["Train live"]


def test_a_live_run_that_is_not_here_says_so(open_page: OpenPage) -> None:
    app = open_page("home", live="nothing")
    assert not app.exception
    assert "There is no live run “nothing” here" in texts(app)


def test_a_run_s_card_leads_to_the_run(open_page: OpenPage) -> None:
    app = open_page("home")
    links = [(link.proto.page, link.proto.query_string) for link in app.get("page_link")]
    assert ("train", "run=demo-lora") in links
    assert ("train", "run=demo-tokens") in links


def test_see_what_two_runs_learned_goes_to_the_default_comparison(open_page: OpenPage) -> None:
    app = open_page("home")
    next(button for button in app.button if button.label.startswith("See what")).click().run()
    assert not app.exception
    assert app.query_params["a"] == "demo-lora@100%"
    assert app.query_params["b"] == "demo-tokens@100%"
