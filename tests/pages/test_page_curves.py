"""Learning curves: one run or several, wrong addresses, the way into Compare."""

import os
from collections.abc import Callable
from pathlib import Path

from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.store import Store
from engine.workflows.queries import run_scores
from pages._ui.curves_view import clicked

OpenPage = Callable[..., AppTest]


def test_without_a_run_the_page_leads_to_train(open_page: OpenPage) -> None:
    app = open_page("curves", bundled=None)
    assert not app.exception
    assert "There is no run yet." in texts(app)


def test_both_demo_runs_at_first_and_the_figures_behind_them(open_page: OpenPage) -> None:
    app = open_page("curves")
    assert not app.exception
    assert not app.error
    assert app.query_params["runs"] == "demo-lora,demo-tokens"
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    rows = sum(len(run_scores(store, run)) for run in ("demo-lora", "demo-tokens"))
    assert len(app.dataframe[0].value) == rows


def test_the_address_names_the_runs(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-tokens")
    assert app.multiselect[0].value == ["demo-tokens"]
    app.multiselect[0].set_value(["demo-lora"]).run()
    assert app.query_params["runs"] == "demo-lora"


def test_a_run_that_is_not_there_is_named_and_left_out(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-lora,<i>x</i>")
    assert not app.exception
    assert "the run “<i>x</i>”, which is not here" in texts(app)
    assert app.multiselect[0].value == ["demo-lora"]


def test_no_run_chosen_says_what_to_do(open_page: OpenPage) -> None:
    app = open_page("curves", runs="")
    assert not app.exception
    assert "Choose at least one run" in texts(app)


def test_a_click_tells_run_and_step() -> None:
    assert clicked([{"run": "x", "step": 75}]) == ("x", 75)
    assert clicked([{"step": 3}, {}]) is None
    assert clicked([]) is None


def test_the_address_names_the_probe_kinds(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-lora", kinds="inference")
    assert not app.exception
    pills = app.button_group(key="curves kinds")
    assert pills.value == ["inference"]
    pills.set_value(["recall", "paraphrase", "inference", "retention"]).run()
    assert "kinds" not in app.query_params  # all of them is the default


def test_both_figures_can_be_taken_away(open_page: OpenPage) -> None:
    app = open_page("curves")
    labels = {button.label for button in app.get("download_button")}
    assert {"Loss (PNG)", "Loss (SVG)", "Learning curves (PNG)", "Learning curves (SVG)"} <= labels
