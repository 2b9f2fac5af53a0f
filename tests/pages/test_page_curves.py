"""Learning curves: one run or several, wrong addresses, the way into Compare; how the circuits changed below."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.analysis.watched import watched_probes
from engine.domain.corpus import PROBE_KINDS
from engine.domain.jobs import AnalyseRun, AskedPrompt, MeasureProbes, NeverCanceled, WhereProbes, quiet
from engine.domain.measures import MEASURES, Estimate
from engine.domain.runs import LOSS_SMOOTHING, LoggedMetrics, LoggedSeries, LossLog, RunConfig
from engine.domain.series import CausalCheck, GraphSeries, Overlap, SeriesGraph, SeriesKey
from engine.store import BUNDLED, Store
from engine.store.files import write_text
from engine.store.layout import step_folder
from engine.store.run_files import LOSSES, METRICS, write_state
from engine.workflows.learned import learning_of
from engine.workflows.queries import run_scores
from engine.workflows.where import where_probes
from pages._ui import session
from pages._ui.curves.runs_view import _whole_percent, readable
from pages._ui.curves.scores_view import clicked
from tests.many_runs import copy_runs
from tests.store.artefacts import state

OpenPage = Callable[..., AppTest]
BASE, END = "demo-tokens@base", "demo-tokens@100%"


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
    assert [len(frame.value) for frame in app.dataframe if "accuracy" in frame.value] == [rows]


def test_the_address_names_the_runs(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-tokens")
    assert app.multiselect[0].value == ["demo-tokens"]
    app.multiselect[0].set_value(["demo-lora"]).run()
    assert app.query_params["runs"] == "demo-lora"


def test_the_table_has_each_run_with_its_settings_and_last_values(open_page: OpenPage) -> None:
    app = open_page("curves")
    table = next(frame.value for frame in app.dataframe if "learning rate" in frame.value)
    assert table["run"].tolist() == ["demo-lora", "demo-tokens"]
    assert table["method"].tolist() == ["LoRA", "New tokens only"]
    assert table["learning rate"].tolist() == [0.002, 0.005]
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=BUNDLED)
    losses = [store.checkpoints(run)[-1].state.smoothed_loss for run in table["run"]]
    assert table["loss"].tolist() == losses
    assert table["inference"].tolist() == [24, 100]
    assert table["compare"][0] == "/compare?a=demo-lora%40base&b=demo-lora%40100%25"
    assert table["train"].tolist() == ["/train?run=demo-lora", "/train?run=demo-tokens"]


def test_whole_percentages_do_not_hide_the_last_probe() -> None:
    rows = pd.DataFrame(
        {
            "run": ["a"],
            "last": ["a@base"],
            "recall": [0.997],
            "paraphrase": [0.002],
            "inference": [1.0],
            "retention": [None],
        }
    )
    shown = readable(rows.astype({"retention": float}))
    assert shown[["recall", "paraphrase", "inference"]].iloc[0].tolist() == [99, 1, 100]
    assert pd.isna(shown["retention"][0])
    assert shown["compare"][0] is None  # nothing but the base: there is nothing to compare


def test_how_the_curves_are_drawn_is_in_the_address(open_page: OpenPage) -> None:
    app = open_page("curves", smoothing="0.5", log="1", types="spatial_relationship")
    assert not app.exception
    assert app.slider[0].value == 0.5
    assert app.toggle[0].value is True
    assert app.button_group(key="curves types").value == ["spatial_relationship"]
    app.slider[0].set_value(LOSS_SMOOTHING).run()
    app.toggle[0].set_value(False).run()
    app.button_group(key="curves types").set_value(["simple_mapping", "spatial_relationship"]).run()
    assert not {"smoothing", "log", "types"} & set(app.query_params)  # the defaults
    assert "smoothing" in texts(open_page("curves", smoothing="2"))


def test_of_many_runs_two_probe_kinds_are_drawn_at_first(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    copy_runs(store.workspace, 2)
    app = open_page("curves", runs="demo-lora,demo-tokens,copy-0,copy-1")
    assert not app.exception
    assert app.button_group(key="curves kinds").value == ["paraphrase", "inference"]
    assert "kinds" not in app.query_params


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


def _press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def _stored_series() -> GraphSeries:
    """Of demo-lora's first and last checkpoint on the two prompts whose graphs the demo brings; the rest is missing."""
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=BUNDLED)
    corpus = {probe.text: probe for probe in store.corpus("demo").probes}
    pairs = [one for one in store.comparisons() if (one.key.a, one.key.b) == ("demo-lora@base", "demo-lora@100%")]
    probes = [corpus[pair.key.prompt] for pair in pairs]
    gap = Estimate(value=0.1, low=0.0, high=0.2)
    series = GraphSeries(
        key=SeriesKey(
            run="demo-lora", checkpoints=tuple((c.step, "w") for c in store.checkpoints("demo-lora")),
            corpus_hash=store.run("demo-lora").corpus_hash, probe_kind="inference",
            probes=tuple(probe.id for probe in probes), transcoders="demo-shared", transcoders_hash="h",
        ),
        graphs=tuple(
            SeriesGraph(step=step, probe_id=probe.id, graph=graph.hash)
            for pair, probe in zip(pairs, probes, strict=True)
            for step, graph in ((0, pair.graph_a), (300, pair.graph_b))
        ),
        overlap=tuple(
            Overlap(
                step=300, constraint_type=probe.constraint_type, layer=layer, own=0.4 + layer / 10, other=0.2, gap=gap,
                n=2,
            )
            for probe in probes
            for layer in (-1, 0)
        ),
        causal=tuple(
            CausalCheck(
                step=300, constraint_type=probe.constraint_type, n_prompts=1, n_features=3, p_before=0.5, drop=gap,
                random_drop=gap, n_draws=1,
            )
            for probe in probes
        ),
    )  # fmt: skip
    store.save_series(series)
    return series


def test_circuits_that_were_looked_at_are_drawn_with_what_each_rule_would_have_done(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-lora")
    assert not app.exception
    assert not app.error
    shown = texts(app)
    assert "A coarser look, which the stopping rule" in shown
    assert "misses even large changes" in shown
    assert "A slow, steady drift also passes this rule" in shown
    assert "simple mapping" in shown
    assert "What each stopping rule would have done on this run" in shown
    rules = next(table.value for table in app.table)
    assert rules["Rule"].tolist() == [
        "At the last step", "When the loss is flat", "When the probes are flat", "When the circuits have settled",
    ]  # fmt: skip
    assert rules["Stops at"].tolist()[0] == "the end"
    assert all(rules["Why"].str.len() > 0)
    labels = {button.label for button in app.get("download_button")}
    assert {"Circuit change (PNG)", "Influence by layer (SVG)", "Download the changes (CSV)"} <= labels


def test_patience_and_measure_are_in_the_address_and_move_what_is_said(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-tokens", patience="2", measure="edge_jaccard")
    field = next(field for field in app.number_input if field.label == "Patience")
    assert field.value == 2
    assert next(box for box in app.selectbox if box.label == "Measure").value == "edge_jaccard"
    assert "which edges belong to the circuit" in texts(app)
    field.set_value(16).run()
    assert not app.exception
    assert app.query_params["patience"] == "16"
    assert ":gray-badge[not settled]" in texts(app)  # 17 checkpoints hold one window of 16, and it learns in it
    next(field for field in app.number_input if field.label == "Patience").set_value(3).run()
    assert "patience" not in app.query_params  # the default


def test_wrong_values_in_the_address_are_told_and_the_defaults_used(open_page: OpenPage) -> None:
    wrong = {"patience": "0", "fit": "nan", "to": "sideways", "measure": "<b>", "of": "nobody"}
    app = open_page("curves", runs="demo-lora", **wrong)
    assert not app.exception
    for value in wrong.values():
        assert f"“{value}”, which is not here" in texts(app)
    assert next(field for field in app.number_input if field.label == "Patience").value == 3


def test_where_nothing_was_traced_the_page_offers_it_and_shows_it_on_the_spot(open_page: OpenPage) -> None:
    app = open_page("curves", runs="demo-lora", on="inference")
    assert not app.exception
    shown = texts(app)
    assert "have not been traced yet" in shown
    assert "17 checkpoints × 20 prompts: 340 graphs" in shown
    _press(app, "Trace all checkpoints")
    assert not app.exception
    assert [job.request for job in session.jobs().snapshot()] == [AnalyseRun(run="demo-lora", probe_kind="inference")]
    assert "Trace all checkpoints" not in [button.label for button in app.button]
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert not app.exception


def test_each_setting_is_seen_in_the_charts_and_taken_back_they_are_as_before(open_page: OpenPage) -> None:
    _stored_series()
    app = open_page("curves", on="inference")
    first = _drawn(app)
    assert len(first) > 6
    for key, values, changed in (
        ("curves smoothing", (0.5, LOSS_SMOOTHING), "Training loss"),
        ("curves log", (True, False), "Training loss"),
        ("curves kinds", (["inference"], [*PROBE_KINDS]), "Share of simple mapping"),
        ("curves to", ("base", "previous"), "How much the simple mapping"),
        ("curves measure", ("edge_jaccard", MEASURES[0]), "How much the simple mapping"),
        ("curves layer", ("0", "-1"), "Simple mapping: overlap"),
    ):
        (field,) = [field for field in _fields(app) if field.key == key]
        field.set_value(values[0]).run()
        assert not app.exception
        moved = {alt for alt, chart in _drawn(app).items() if first.get(alt) != chart}
        assert any(alt.startswith(changed) for alt in moved), key
        (field,) = [field for field in _fields(app) if field.key == key]
        field.set_value(values[1]).run()
        assert _drawn(app) == first, key


def _fields(app: AppTest) -> list[Any]:
    return [*app.slider, *app.toggle, *app.button_group, *app.selectbox]


def _drawn(app: AppTest) -> dict[str, tuple[object, ...]]:
    """What the browser gets of each chart, by its text for screen readers."""
    protos = [chart.proto for chart in app.get("vega_lite_chart")]
    return {proto.alt: (proto.spec, *(table.data.data for table in proto.datasets)) for proto in protos}


def test_what_a_canceled_job_left_is_drawn_and_the_rest_is_offered(open_page: OpenPage) -> None:
    _stored_series()
    app = open_page("curves", runs="demo-lora", on="inference", to="base")
    assert not app.exception
    assert not app.error
    assert "30 graphs are missing" in texts(app)  # 17 checkpoints x 2 prompts, 4 are there
    figures = next(frame.value for frame in app.dataframe if "circuit change" in frame.value)
    assert set(figures["compared with"]) == {"checkpoint before", "base model", "last checkpoint"}
    assert set(figures["step"]) == {0, 300}
    assert set(figures["against the floor"]) == {"unclear"}  # one prompt gives no noise floor
    assert next(box for box in app.selectbox if box.label == "Layer").options == ["All layers", "Layer 0"]
    _press(app, "Trace what is missing")
    request = AnalyseRun(run="demo-lora", probe_kind="inference", n_prompts=1)
    assert [job.request for job in session.jobs().snapshot()] == [request]


def test_the_figures_of_change_can_be_taken_away(open_page: OpenPage) -> None:
    _stored_series()
    app = open_page("curves", runs="demo-lora", on="inference")
    labels = {button.label for button in app.get("download_button")}
    pictures = {"Circuit change", "Influence by layer", "Meaning overlap", "Causal check"}
    assert {f"{name} ({kind})" for name in pictures for kind in ("PNG", "SVG")} <= labels


def test_when_and_where_it_was_learned_is_offered_and_then_shown(open_page: OpenPage) -> None:
    """First as far as it was measured from the base to the last checkpoint, then over all of them."""
    app = open_page("curves", runs="demo-tokens", probes="1")
    assert not app.exception
    assert "Find when and where it was learned" in [button.label for button in app.button]
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    probes = watched_probes(store.corpus("demo"), "paraphrase", 1)
    asked = tuple(AskedPrompt(prompt=probe.text, answer=probe.answer) for probe in probes)
    where_probes(store, WhereProbes(a=BASE, b=END, asked=asked), quiet, NeverCanceled())
    before = len(app.get("vega_lite_chart"))
    app.run()
    assert not app.exception
    assert "over a few of the checkpoints" in texts(app)
    assert len(app.get("vega_lite_chart")) == before + 3 * len(probes)
    assert "at the new word (1.00 of it" in texts(app)  # this run trained nothing but the new words' embeddings
    where_probes(store, learning_of(store.checkpoints("demo-tokens"), probes), quiet, NeverCanceled())
    app.run()
    assert not app.exception
    assert "Find when and where it was learned" not in [button.label for button in app.button]
    assert "Half of it was there, and stayed, from step" in texts(app)
    moves = next(frame.value for frame in app.dataframe if "most in layers" in frame.value)
    assert len(moves) == 16 * len(probes)
    assert moves.loc[moves["constraint type"] == "simple mapping", "from"].tolist()[:3] == [0, 10, 20]
    assert "Download the moves (CSV)" in {button.label for button in app.get("download_button")}
    changed = store.corpus("demo").to_jsonl().replace(probes[0].text, f"now {probes[0].text}")
    write_text(store.workspace / "corpora" / "demo" / "corpus.jsonl", changed)
    store.sync()
    app.run()
    assert not app.exception
    assert "Find when and where it was learned" in [button.label for button in app.button]


def test_a_run_without_probes_still_has_its_loss_and_what_was_logged(open_page: OpenPage) -> None:
    open_page("curves")
    store = session.store()
    config = RunConfig(name="mine", corpus="none", n_steps=20, imported=True)
    with store.new_run(config) as folder:
        for step in (0, 20):
            (at := folder / "checkpoints" / step_folder(step)).mkdir(parents=True)
            unknown = {"loss": None, "smoothed_loss": None}  # of a step, as it was logged each ten
            write_state(at, state(step, n_steps=20).model_copy(update=unknown))
        logged = LoggedMetrics(series={"eval_<b>loss</b>": LoggedSeries(step=(10, 20), value=(2.0, math.nan))})
        write_text(folder / METRICS, logged.to_json())
        write_text(folder / LOSSES, LossLog(step=(10, 20), loss=(2.0, 1.0), learning_rate=(1e-3, 1e-3)).to_json())
    app = open_page("curves", runs="mine")
    assert not app.exception
    shown = texts(app)
    assert "No probes were measured on mine" in shown
    assert "What the trainer logged besides its loss" in shown
    assert "Training loss as the trainer logged it: mine, 2 points, each the mean of 10 steps." in shown
    assert "Loss as the trainer logged it: mine, mean of steps 11 to 20." in shown
    assert not app.get("button_group")  # no kinds or types to choose from
    assert app.slider(key="curves smoothing").value == 0.0  # of two points there is nothing to smooth
    assert app.dataframe[-1].value["loss"].tolist() == [1.0]
    assert len(app.get("vega_lite_chart")) == 2
    assert not app.warning
    corpus = next(box for box in app.selectbox if box.label == "Corpus")
    assert "Measure probes" not in [button.label for button in app.button]
    corpus.set_value("demo").run()
    next(button for button in app.button if button.label == "Measure probes").click().run()
    assert not app.exception
    (job,) = session.jobs().active()
    assert job.request == MeasureProbes(run="mine", corpus="demo")
    app = open_page("curves", runs="mine")  # loaded anew, it knows no more which corpus was chosen
    assert "The probes of **demo** are being measured on **mine**." in texts(app)
    assert "Cancel" in [button.label for button in app.button]
    session.jobs().cancel(job.id)


def test_beside_measured_probes_a_trainers_own_measures_are_folded_away(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first screen is for what people come for."""
    logged = LoggedMetrics(series={"grad_norm": LoggedSeries(step=(10, 20), value=(2.0, 1.0))})
    monkeypatch.setattr(Store, "metrics", lambda _store, run: logged)
    app = open_page("curves", runs="demo-lora")
    assert not app.exception
    folded = [panel.label.replace("\\", "") for panel in app.expander]
    assert "Also logged by the trainer: grad_norm" in folded
    assert "What the trainer logged besides its loss" not in texts(app)
    n_charts = len(app.get("vega_lite_chart"))
    app.session_state["curves logged"] = True
    app.run()
    assert not app.exception
    assert "What the trainer logged besides its loss" in texts(app)
    assert len(app.get("vega_lite_chart")) == n_charts + 1


def test_half_a_percent_is_rounded_as_charts_round_it() -> None:
    shown = _whole_percent
    assert [shown(share) for share in (0.125, 0.375, 0.001, 0.999, 0.0, 1.0)] == [13, 38, 1, 99, 0, 100]
