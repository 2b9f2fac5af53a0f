"""What the pages say of circuit change and of what was decided, as pure functions."""

from dataclasses import replace

import pandas as pd
import pytest

from engine.analysis.settling import Settled, Settling
from engine.domain.decisions import CircuitReading, Decision, DecisionSettings, RunDecisions, Verdict
from engine.domain.jobs import AnalyseRun
from engine.domain.measures import MEASURES, Estimate
from engine.domain.runs import Checkpoint, CheckpointState, RunConfig
from engine.domain.series import CausalCheck, GraphSeries, SeriesGraph, SeriesKey
from engine.store import Store
from pages._ui.curves.analyse import estimate, missing
from pages._ui.curves.change_view import clicked_pair
from pages._ui.curves.stopping_view import readable
from pages._ui.decision_fields import MEASURE_HELP, cost, measures_help
from pages._ui.settled_text import marks, settled_words
from pages._ui.train.decisions_view import costs, decides, newest, stopped_by
from tests.store.artefacts import add_run, corpus

CONFIG = RunConfig(name="mine", corpus="demo", n_steps=300, stopping="circuit_saturation")


def checkpoint(step: int, wall_s: float = 0.0) -> Checkpoint:
    state = CheckpointState(
        step=step, max_steps=300, epoch=0, loss=None, smoothed_loss=None, learning_rate=None, seed=0, examples_seen=0,
        wall_time_s=wall_s, corpus_hash="",
    )  # fmt: skip
    return Checkpoint("mine", state, folder=None)  # type: ignore[arg-type]


def series(steps: tuple[int, ...], n_graphs: int) -> GraphSeries:
    key = SeriesKey(
        run="mine", checkpoints=tuple((step, "w") for step in steps), corpus_hash="c", probe_kind="paraphrase",
        probes=("p1", "p2"), transcoders="t", transcoders_hash="h",
    )  # fmt: skip
    return GraphSeries(key=key, graphs=(SeriesGraph(step=0, probe_id="p1", graph="g"),) * n_graphs)


def causal(step: int) -> CausalCheck:
    fall = Estimate(value=0.1, low=0.0, high=0.2)
    return CausalCheck(
        step=step,
        constraint_type="one",
        n_prompts=2,
        n_features=3,
        p_before=0.5,
        drop=fall,
        random_drop=fall,
        n_draws=3,
    )


def decided(step: int, *, stop: bool = False, saturated: tuple[str, ...] = ()) -> Decision:
    return Decision(step=step, verdict=Verdict(stop=stop, reason=f"Reason of {step}.", saturated=saturated))


def reading(step: int, trace_s: float, refresh_s: float = 0.0) -> CircuitReading:
    return CircuitReading(
        step=step, transcoders="t", transcoders_hash="h", refreshed=refresh_s > 0, types=(), trace_s=trace_s,
        refresh_s=refresh_s,
    )  # fmt: skip


def test_a_click_tells_both_checkpoints_the_earlier_one_first():
    assert clicked_pair([{"run": "x", "step": 75, "to_step": 50}]) == ("x", 50, 75)
    assert clicked_pair([{"run": "x", "step": 75, "to_step": 300}]) == ("x", 75, 300)
    assert clicked_pair([{"run": "x", "step": 75}, {}]) is None
    assert clicked_pair([]) is None


def test_the_chart_and_the_words_name_each_time_that_a_circuit_settled():
    once, again = Settled(30, 20, "No change.", 120), Settled(250, 200, "No change again.", None)
    found = Settling((once, again), "")
    assert [(mark.step, mark.label, mark.lasting) for mark in marks(found)] == [
        (30, "settled at step 30, changed later", False), (250, "settled at step 250", True),
    ]  # fmt: skip
    ended = " It met the rule at step 30 already; at step 120 its change was above the noise floor again."
    assert settled_words(found) == (":blue-badge[settled at step 250]", "No change again." + ended)
    assert settled_words(Settling((once,), "Still changes.")) == (":gray-badge[not settled]", "Still changes." + ended)


def test_a_series_says_what_it_lacks():
    both = [checkpoint(0), checkpoint(50)]
    whole = series((0, 50), 4)  # 2 checkpoints x 2 prompts
    assert missing(whole.model_copy(update={"causal": (causal(0), causal(50))}), both) == ""
    stopped = whole.model_copy(update={"causal": (causal(0),)})  # between the last graph and what it causes
    assert missing(stopped, both) == "What the circuits cause was not measured at 1 checkpoint."
    assert missing(series((0, 50), 3), both) == "1 graph is missing: tracing was canceled before the end."
    assert missing(series((0,), 2), both) == "1 checkpoint came after this run was traced."


def test_the_estimate_counts_graphs_and_tells_of_transcoders(demo_store: Store):
    checkpoints = demo_store.checkpoints("demo-lora")
    told = estimate(demo_store, checkpoints, AnalyseRun(run="demo-lora"))
    assert told.startswith(f"{len(checkpoints)} checkpoints × 20 prompts: {len(checkpoints) * 20} graphs, about ")
    assert "No transcoder set" not in told


def test_the_estimate_is_longer_where_transcoders_must_learn_first(demo_store: Store):
    demo_store.save_run(RunConfig(name="mine", corpus="demo"))
    told = estimate(demo_store, [checkpoint(0), checkpoint(50)], AnalyseRun(run="mine", n_prompts=2))
    assert "so one is trained first" in told
    assert "8 graphs, about 52 s" in told  # 8 x 0.25 s and 50 s


def test_the_estimate_counts_the_probes_that_are_there(store: Store) -> None:
    add_run(store, "mine")  # on a corpus with one probe
    told = estimate(store, store.checkpoints("mine"), AnalyseRun(run="mine", probe_kind="recall"))
    assert told.startswith("3 checkpoints × 1 prompt: 3 graphs, about ")


def test_every_measure_has_its_sentence():
    assert set(MEASURE_HELP) == set(MEASURES)
    assert measures_help().count("\n") == len(MEASURES) - 1


def test_what_watching_takes_counts_the_probes_that_are_there() -> None:
    one = corpus()  # a recall probe
    assert cost(one, DecisionSettings(probe_kind="recall", n_prompts=4)).startswith(
        "Traces 1 prompt at every checkpoin"
    )
    assert cost(one, DecisionSettings(probe_kind="paraphrase")) == ""
    more = replace(one, probes=tuple(one.probes[0].model_copy(update={"id": f"p{n}"}) for n in range(9)))
    assert cost(more, DecisionSettings(probe_kind="recall", n_prompts=4)).startswith("Traces 4 prompts at")


def test_rows_of_stopping_rules_are_readable():
    rows = pd.DataFrame(
        [("At the last step", None, 0.99, 0.99, 90, 0, "All."), ("When <b>", 40, 0.29, 0.99, 90, 260, "Flat."),
         ("No probes", 40, None, None, 0, 260, ""), ("Few", 40, 0.5, 1.0, 4, 260, "")],
        columns=["rule", "stops at", "accuracy then", "accuracy at the end", "probes", "steps saved", "why"],
    ).astype({"stops at": "Int64"})  # fmt: skip
    table = readable(rows, 0.1, 300)
    assert table["Stops at"].tolist() == ["the end", "step 40", "step 40", "step 40"]
    assert table["Accuracy then"].tolist() == ["99%", "29%", "–", "2 of 4"]
    assert table["Steps saved"].tolist()[:2] == ["–", "260 of 300, about 26 s"]
    assert readable(rows, None, 300)["Steps saved"].tolist()[1] == "260 of 300"
    assert "\\<b" in table["Rule"][1]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG, True),
        (CONFIG.model_copy(update={"stopping": "none"}), False),
        (CONFIG.model_copy(update={"stopping": "none", "watch": True}), True),
        (CONFIG.model_copy(update={"stopping": "none", "curriculum": "under_learned"}), True),
    ],
)
def test_what_is_decided_is_shown_only_where_something_is(config: RunConfig, expected: bool):
    assert decides(config) is expected


def test_the_newest_verdict_in_one_line():
    assert newest(CONFIG, RunDecisions()) == ":gray-badge[started] Nothing was decided yet."
    going = RunDecisions(decisions=(decided(25), decided(50)))
    assert newest(CONFIG, going) == ":blue-badge[step 50: continues] Reason of 50\\."
    ended = RunDecisions(decisions=(decided(25), decided(50, stop=True)), stopped_at=50)
    assert newest(CONFIG, ended) == ":green-badge[stopped at step 50] Reason of 50\\."
    assert stopped_by(CONFIG, ended) == "stopped at step 50 by the rule “When the circuits have settled”"
    assert stopped_by(CONFIG, going) == ""
    assert stopped_by(CONFIG.model_copy(update={"stopping": "gone"}), ended) == "stopped at step 50 by the rule “gone”"


def test_costs_tell_tracing_transcoders_waiting_and_what_was_saved():
    decisions = RunDecisions(readings=(reading(0, 2.0), reading(25, 2.0, 3.0)), stopped_at=200, waited_s=1.6)
    # 0 to 200 in 10 s: 0.05 s a step; 100 steps are saved
    told = costs(CONFIG, decisions, [checkpoint(0, 1.0), checkpoint(200, 11.0)])
    assert told == (
        "Tracing the circuits of 2 checkpoints took 4 s, and training transcoders on them 3 s. Training waited 2 s for "
        "it. Stopping saved 100 of 300 steps, about 5 s at this run's own pace."
    )
    assert costs(CONFIG, RunDecisions(), []) == ""
    quick = costs(CONFIG, RunDecisions(readings=(reading(0, 2.0),)), [])
    assert quick == "Tracing the circuits of 1 checkpoint took 2 s. Training waited 0 s for it."


def test_the_defaults_of_the_form_are_those_of_the_engine():
    assert DecisionSettings() == RunConfig(name="x", corpus="demo").decisions
