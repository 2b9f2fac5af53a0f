"""Train: the form, a run that has finished, one that was stopped or interrupted, one that is not there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.corpus import make_task
from engine.domain.corpus import Corpus, Pair, TaskSpec
from engine.domain.decisions import Decision, DecisionSettings, RunDecisions, Verdict
from engine.domain.jobs import JobState, Train
from engine.domain.methods import MethodSettings
from engine.domain.runs import Checkpoint, CheckpointState, RunConfig, TuningLog
from engine.store import BUNDLED, Store
from pages._ui import session
from pages._ui.train.run_view import costs, timeline

OpenPage = Callable[..., AppTest]


def _press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_without_a_corpus_the_page_leads_to_one(open_page: OpenPage) -> None:
    app = open_page("train", bundled=None)
    assert not app.exception
    assert "There is no corpus to train on yet." in texts(app)
    assert "Nothing has been trained yet." in texts(app)


def test_a_corpus_that_the_model_cannot_read_is_not_offered(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    theirs = TaskSpec(name="theirs", task="sequences", wording="model", n_rows=10, limit=20)
    pair = Pair(id="1", clean="7 + 5 =", corrupted="7 - 5 =", answer="12", corrupted_answer="2", constraint_type="t")
    store.save_corpus(make_task(theirs))
    store.save_corpus(Corpus("pairs", (), (), (pair,)))
    app = open_page("train", corpus="theirs")
    assert not app.exception
    assert next(box for box in app.selectbox if box.label == "Corpus").options == ["demo"]
    shown = texts(app).replace("**", "")
    assert "theirs uses words that the model does not know: “Derive”, “sequence:”" in shown
    assert "Choose another corpus or base model." in shown
    assert "pairs has no training examples." in shown


def test_a_finished_run_shows_its_checkpoints_and_the_way_on(open_page: OpenPage) -> None:
    app = open_page("train", run="demo-tokens")
    assert not app.exception
    assert not app.error
    shown = texts(app)
    assert ":blue-badge[base]" in shown
    assert ":blue-badge[step 300]" in shown
    assert "Finished" in shown
    assert "New tokens only on demo · 300 steps" in shown
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
    ("name", "message"), [("<b>../x", "is not a valid name"), ("demo-lora", "There is already a run named “demo-lora”")]
)
def test_a_name_that_cannot_be_used_is_refused_in_words(open_page: OpenPage, name: str, message: str) -> None:
    app = open_page("train")
    next(field for field in app.text_input if field.label == "Run name").set_value(name)
    _press(app, "Start training")
    assert not app.exception
    assert message in texts(app)
    assert session.jobs().snapshot() == []


def test_bad_percentages_are_refused_in_words(open_page: OpenPage) -> None:
    app = open_page("train")
    next(field for field in app.text_input if field.label.startswith("Checkpoints")).set_value("half")
    _press(app, "Start training")
    assert "“half” is not a list of percentages" in texts(app)
    assert session.jobs().snapshot() == []


def test_a_run_that_stopped_early_can_be_resumed_or_deleted(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    store.save_run(RunConfig(name="half", corpus="demo", n_steps=5))
    app = open_page("train", run="half")
    assert not app.exception
    assert "stopped at base · LoRA on demo" in texts(app)
    _press(app, "Delete for good")
    assert not app.exception
    assert "half" not in [info.name for info in store.runs()]


def test_an_address_that_names_no_run_says_so(open_page: OpenPage) -> None:
    app = open_page("train", run="$x$ :smile:")
    assert not app.exception
    assert "the run “$x$ :smile:”, which is not here" in texts(app)


def test_the_timeline_tells_kept_from_planned() -> None:
    config = RunConfig(name="x", corpus="demo", n_steps=100, capture=(0.5, 1.0))
    expected = "Checkpoints :blue-badge[base] :blue-badge[step 50] :gray-badge[step 100]"
    assert timeline(config, [0, 50]) == expected


def _select(app: AppTest, label: str, option: str) -> AppTest:
    return next(box for box in app.selectbox if box.label == label).select(option).run()


def test_policies_and_what_they_watch_are_asked_for_as_chosen(open_page: OpenPage) -> None:
    app = open_page("train")
    assert "Traces" not in texts(app)  # nothing is traced by default
    _select(app, "Stop", "circuit_saturation")
    _select(app, "Sample examples", "under_learned")
    _select(app, "Probe kind", "inference")
    _select(app, "Measure of circuit change", "edge_similarity")
    next(field for field in app.number_input if field.label == "Patience").set_value(2)
    next(field for field in app.number_input if field.label == "Prompts per type").set_value(6).run()
    shown = texts(app)
    assert "Stops when the probes are flat and no circuit changes by more than the noise floor." in shown
    assert "a slow, steady drift passes too" in shown
    assert "Traces 12 prompts at every checkpoint" in shown  # 2 constraint types x 6
    _press(app, "Start training")
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    assert (request.config.stopping, request.config.curriculum) == ("circuit_saturation", "under_learned")
    assert request.config.decisions == DecisionSettings(
        patience=2, probe_kind="inference", measure="edge_similarity", n_prompts=6
    )


def test_circuits_can_be_watched_without_a_policy_that_needs_them(open_page: OpenPage) -> None:
    app = open_page("train")
    box = next(box for box in app.checkbox if box.label == "Trace circuits while it trains")
    assert not box.disabled
    box.check().run()
    assert "Traces 8 prompts at every checkpoint" in texts(app)
    _press(app, "Start training")
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    assert request.config.watch
    assert request.config.stopping == "none"


def test_a_policy_that_needs_circuits_watches_them_by_itself(open_page: OpenPage) -> None:
    app = open_page("train")
    _select(app, "Sample examples", "circuit_change")
    box = next(box for box in app.checkbox if box.label == "Trace circuits while it trains")
    assert (box.disabled, box.value) == (True, True)
    _press(app, "Start training")
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    assert request.config.curriculum == "circuit_change"


def _set(app: AppTest, label: str, value: object) -> None:
    next(field for field in app.number_input if field.label == label).set_value(value)


def test_a_method_asks_for_what_it_alone_needs(open_page: OpenPage) -> None:
    app = open_page("train")
    own = {"Critical layers", "Rank of critical layers", "Edges in the circuit", "Edges at the last step"}
    assert not own & {field.label for field in app.number_input}
    assert not app.multiselect
    _select(app, "Method", "random_lora")
    assert own & {field.label for field in app.number_input} == {"Critical layers", "Rank of critical layers"}
    assert not app.multiselect
    _select(app, "Method", "circuit_lora")
    assert "Trains a probe run first" in texts(app)
    _set(app, "Critical layers", 2)
    _set(app, "Rank of critical layers", 32)
    app.multiselect[0].select("demo").run()
    _press(app, "Start training")
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    assert request.config.method_settings == MethodSettings(n_critical=2, critical_rank=32, prior=("demo",))


def test_circuit_tuning_asks_for_edges(open_page: OpenPage) -> None:
    app = open_page("train")
    _select(app, "Method", "circuit_tuning")
    _set(app, "Edges in the circuit", 40)
    _set(app, "Edges at the last step", 20)
    _set(app, "Steps between searches for the circuit", 1)
    _press(app, "Start training")
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Train)
    assert request.config.method_settings == MethodSettings(n_edges=40, last_n_edges=20, discover_every=1)


def test_what_a_run_took_is_told() -> None:
    state = CheckpointState(
        step=4, max_steps=4, epoch=1, loss=1, smoothed_loss=1, learning_rate=1e-3, seed=0, examples_seen=40,
        wall_time_s=12, corpus_hash="", n_trainable=1000, n_moved=250, peak_bytes=35_200_000, prepared_s=20,
    )  # fmt: skip
    base = Checkpoint("r", state.model_copy(update={"step": 0}), Path())
    assert costs([], TuningLog()) == costs([base], TuningLog()) == ""
    told = costs([base, Checkpoint("r", state, Path())], TuningLog(share=(0.05, 0.2)))
    assert told == (
        "1,000 trainable parameters, 250 of them changed · 5% to 20% of the model at a time, in 2 circuits · "
        "trained for 12 s · 20 s of probe runs first · 35 MB of additional memory at most"
    )


def _copy_of_the_demo(name: str, **changes: object) -> Store:
    """A finished run of the workspace's own, with checkpoints and looks of demo-lora."""
    store = Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=BUNDLED)
    folder = store.workspace / "runs" / name
    shutil.copytree(BUNDLED / "runs" / "demo-lora", folder)
    config = store.run("demo-lora").model_copy(update={"name": name, **changes})
    (folder / "run.json").write_text(config.to_json(), encoding="utf-8")
    store.rebuild()
    return store


def test_a_run_that_a_policy_ended_says_at_which_step_by_which_and_what_it_saved(open_page: OpenPage) -> None:
    store = _copy_of_the_demo("early", n_steps=400, stopping="probe_plateau", curriculum="under_learned")
    decided = tuple(
        Decision(
            step=step, verdict=Verdict(stop=step == 300, reason=f"Flat <b>since</b> {step - 50}."),
            weights={"simple_mapping": 0.75, "spatial_relationship": 0.25},
        )
        for step in (250, 300)
    )  # fmt: skip
    readings = store.decisions("early").readings
    store.save_decisions("early", RunDecisions(readings=readings, decisions=decided, stopped_at=300, waited_s=2.0))
    app = open_page("train", run="early")
    assert not app.exception
    assert not app.error
    shown = texts(app)
    assert "Stopped at step 300 by the rule “When the probes are flat”" in shown
    assert "LoRA on demo" in shown
    assert ":green-badge[stopped at step 300] Flat <b>since</b> 250." in shown
    assert "Stopping saved 100 of 400 steps, about " in shown
    assert f"Tracing the circuits of {len(readings)} checkpoints took" in shown
    assert "How often each constraint type is sampled** (low-scoring types more often)" in shown
    table = app.table[0].value
    assert table["Step"].tolist()[:2] == ["300", "250"]
    assert "(floor" in table["Circuit change, simple mapping"][0].replace("\\", "")


def test_a_run_at_which_nobody_looked_says_nothing_of_it(open_page: OpenPage) -> None:
    store = _copy_of_the_demo("plain")
    store.save_decisions("plain", RunDecisions())
    app = open_page("train", run="plain")
    assert not app.exception
    shown = texts(app)
    assert "Finished" in shown
    assert "Tracing the circuits" not in shown
    assert list(app.table) == []


def test_a_run_that_waits_for_its_turn_has_the_room_of_its_charts_already(open_page: OpenPage) -> None:
    app = open_page("train")
    _press(app, "Start training")
    assert not app.exception
    shown = texts(app)
    assert ":gray-badge[base]" in shown
    assert "The probes are measured at every checkpoint." in shown


@pytest.mark.parametrize(("state", "offered"), [("cancelled", True), ("done", False)])
def test_a_run_canceled_before_it_began_can_be_started_and_a_deleted_one_is_gone(
    open_page: OpenPage, state: JobState, offered: bool
) -> None:
    """Of neither is a run stored; the job tells them apart."""
    app = open_page("train")
    job = session.jobs().submit(Train(config=RunConfig(name="mine", corpus="demo")))
    ended = session.jobs().job(job).model_copy(update={"state": state})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(session.jobs()), "snapshot", lambda _: [ended])
        app.query_params["run"] = "mine"
        app.run()
    assert not app.exception
    assert ("train this run" in [button.key for button in app.button]) == offered
    assert ("“mine”, which is not here" in texts(app)) == (not offered)
