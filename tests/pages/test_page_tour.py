"""Tour: seven captions computed from the bundled runs, wrong addresses, what is offered where something is missing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.analysis.diff import diff_graphs
from engine.domain.graphs import AttributionGraph, GraphKey
from engine.domain.interventions import Intervention, InterventionKey
from engine.domain.jobs import Intervene
from engine.domain.runs import LossLog
from engine.store import BUNDLED, Store
from engine.workflows.queries import comparison_graphs, run_scores
from pages._ui import session
from pages._ui.tour.facts import Told
from pages._ui.tour.words import (
    MOST_WORDS,
    Words,
    answers_words,
    checkpoints_words,
    circuit_words,
    consequence_words,
    loss_words,
    word_words,
)

OpenPage = Callable[..., AppTest]
A, B, BASE = "demo-lora@100%", "demo-tokens@100%", "demo-lora@base"
PROMPT = "the cat feels blarf and"  # the bundled probe on which the two runs part
N_STEPS = 7


@pytest.fixture
def bundle() -> Store:
    """The bundled runs, read apart from the pages."""
    return Store(Path(os.environ["TRACELAPSE_HOME"]))


def _pair(store: Store, a: str, b: str, prompt: str) -> tuple[AttributionGraph, AttributionGraph]:
    found = comparison_graphs(store, a, b, prompt)
    assert found is not None
    return found


def _accuracy(store: Store, ref: str, kind: str) -> float:
    checkpoint = store.checkpoint(ref)
    rows = run_scores(store, checkpoint.run)
    rows = rows[(rows["step"] == checkpoint.step) & (rows["probe_kind"] == kind)]
    return float(np.average(rows["accuracy"], weights=rows["n"]))


def _likely(graph: AttributionGraph) -> dict[str, float]:
    return dict(zip(graph.target_tokens, graph.target_probability.tolist(), strict=True))


@pytest.mark.parametrize("step", range(1, N_STEPS + 1))
def test_each_step_has_a_short_title_and_short_sentences(open_page: OpenPage, step: int) -> None:
    app = open_page("tour", step=str(step))
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert len(app.title[0].value.split()) <= 8
    sentences = app.markdown[0].value.split("\n\n")
    assert len(sentences) in (1, 2)
    assert all(sentence.endswith(".") and len(sentence.split()) <= MOST_WORDS for sentence in sentences), sentences
    assert f"step {step} of {N_STEPS}" in texts(app)
    assert app.button(key="tour_back").disabled == (step == 1)
    assert app.button(key="tour_next").disabled == (step == N_STEPS)


def test_checkpoints_are_counted_and_the_loss_is_that_of_the_run(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="1"))
    losses, kept = bundle.losses("demo-lora").loss, bundle.checkpoints("demo-lora")
    assert f"In {len(losses)} small training steps" in said
    assert f"falls from {losses[0]:.1f} to {kept[-1].state.smoothed_loss:.1f}" in said
    assert f"Each of the {len(kept)} dots" in said


def test_the_word_is_as_likely_as_the_probes_found_it(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="2"))
    corpus = bundle.corpus("demo")
    asked = [probe for probe in corpus.probes if probe.kind == "recall" and probe.constraint == "blarf"]
    first = {probe.template: probe.id for probe in reversed(asked)}.values()
    results = bundle.probe_results("demo-lora")
    for step, when in ((0, "before"), (300, "after")):
        p = [results[step].p[results[step].probe_id.index(name)] for name in first]
        mean = sum(p) / len(p)
        written = "over 99 %" if mean > 0.99 else f"{100 * mean:.0f} %"
        assert f"{written} {when}" in said
    assert f"“blarf”, for “{asked[0].meaning}”" in said


def test_the_paths_are_those_of_the_difference(open_page: OpenPage, bundle: Store) -> None:
    app = open_page("tour", step="3")
    prompts = [c.key.prompt for c in bundle.comparisons() if (c.key.a, c.key.b) == (BASE, A)]
    diffs = [diff_graphs(*_pair(bundle, BASE, A, prompt)) for prompt in prompts]
    most = max(diffs, key=lambda diff: diff.summary.edges["appeared"])
    assert app.title[0].value.startswith(f"{most.summary.edges['appeared']} connections appeared")
    appeared = most.edges[most.edges["status"] == "appeared"]
    feature = int(texts(app).split("through feature ")[1].split()[0])
    into = appeared[appeared["target"].str.match(rf"feature/\d+/\d+/{feature}$")]
    out = appeared[appeared["source"].str.match(rf"feature/\d+/\d+/{feature}$")]
    assert len(into)
    assert len(out)


def test_answers_and_losses_are_those_of_the_last_checkpoints(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="4"))
    states = [bundle.checkpoint(ref).state for ref in (A, B)]
    assert (
        f"A changed {states[0].n_trainable:,} numbers inside the model, run B only {states[1].n_trainable:,}." in said
    )
    right = [_accuracy(bundle, ref, "paraphrase") for ref in (A, B)]
    assert f"A is right {100 * right[0]:.0f} % of the time, B {100 * right[1]:.0f} %" in said
    app = open_page("tour", step="5")
    said, loss = texts(app), [state.smoothed_loss or 0 for state in states]
    meaning, kept = ([_accuracy(bundle, ref, kind) for ref in (A, B)] for kind in ("inference", "retention"))
    assert f"A has the lower loss, {loss[0]:.2f} against {loss[1]:.2f}" in said
    assert f"follows the meaning in {100 * meaning[0]:.0f} %, B in {100 * meaning[1]:.0f} %." in said
    assert f"it still knows {100 * kept[0]:.0f} %" in said
    assert (app.title[0].value == "The loss prefers the wrong one") == (loss[0] < loss[1] and meaning[0] < meaning[1])


def test_what_each_side_expects_is_in_its_graph(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="6"))
    a, b = (_likely(graph) for graph in _pair(bundle, A, B, PROMPT))
    said_a, said_b = (max(side, key=lambda token: side[token]) for side in (a, b))
    assert f"A expects “{said_a}”" in said
    assert f"B expects “{said_b}” ({100 * b[said_b]:.0f} %)" in said
    probe = next(probe for probe in bundle.corpus("demo").probes if probe.text == PROMPT)
    assert f"“{probe.known_text} {probe.answer}”" in said
    assert not any({"blarf", probe.answer} <= set(example.text.split()) for example in bundle.corpus("demo").examples)
    assert "no training text says so of “blarf”" in said


@pytest.mark.parametrize("step", ["0", "8", "-1", "2.5", "three", "1 ; drop"])
def test_a_step_that_does_not_exist_says_so_and_gives_the_first(open_page: OpenPage, step: str) -> None:
    app = open_page("tour", step=step)
    assert not app.exception
    assert "which is not here. Shown instead: 1" in texts(app)
    assert app.title[0].value == "A checkpoint is a snapshot"
    assert app.query_params["step"] == "1"


def test_next_back_and_the_dots_move_through_the_steps(open_page: OpenPage) -> None:
    app = open_page("tour")
    titles = [app.title[0].value]
    for _ in range(N_STEPS - 1):
        titles.append(app.button(key="tour_next").click().run().title[0].value)
    assert len(set(titles)) == N_STEPS
    assert app.query_params["step"] == str(N_STEPS)
    assert app.button(key="tour_back").click().run().title[0].value == titles[-2]
    assert app.button(key="tour_dot_2").click().run().title[0].value == titles[1]
    assert not app.exception


def test_without_the_demo_the_tour_says_what_to_do(open_page: OpenPage) -> None:
    app = open_page("tour", bundled=None)
    assert not app.exception
    assert "python -m engine demo build" in texts(app)
    assert not app.button


def test_home_leads_into_the_tour(open_page: OpenPage) -> None:
    app = open_page("home")
    next(button for button in app.button if "seven steps" in button.label).click().run()
    assert not app.exception
    assert app.title[0].value == "A checkpoint is a snapshot"


@pytest.fixture
def unmeasured(tmp_path: Path) -> Path:
    """The bundled runs without what was measured by intervening."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "demo", ignore=shutil.ignore_patterns("interventions", "index*")))


def test_what_was_not_measured_is_measured_on_request_and_then_told(open_page: OpenPage, unmeasured: Path) -> None:
    app = open_page("tour", bundled=unmeasured, step="7")
    assert "Switch them off and see" in texts(app)
    app.button(key="tour_ablate").click().run()
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Intervene)
    assert (request.a, request.b, request.prompt, request.factor) == (A, B, PROMPT, 0)
    graph_a, graph_b = _pair(session.store(), A, B, PROMPT)
    assert set(request.features) <= set(graph_b.node_ids())
    assert all(feature.split("/")[2] in ("4", "5") for feature in request.features)  # at the word, or at the end

    for graph in (graph_a, graph_b):  # a result in which the answer becomes twice as likely
        p = graph.target_probability.astype(float)
        found = Intervention(
            key=InterventionKey(graph=graph.key, features=request.features),
            changed=request.features,
            tokens=graph.target_tokens,
            p_before=tuple(p / 2),
            p_after=tuple(p),
            logit_before=tuple(np.zeros(len(p))),
            logit_after=tuple(np.ones(len(p))),
            predicted=tuple(-np.ones(len(p))),
        )
        session.store().save_intervention(found)
    app.run()
    p = _likely(graph_b)["smiles"]
    assert f"B’s “smiles” goes from {50 * p:.0f} % to {100 * p:.0f} %." in texts(app)
    assert not app.exception


def test_a_damaged_graph_is_told_in_its_place_and_the_walk_goes_on(open_page: OpenPage, unmeasured: Path) -> None:
    for graph in (unmeasured / "graphs").iterdir():
        graph.write_bytes(graph.read_bytes()[:200])
    app = open_page("tour", bundled=unmeasured, step="3")
    assert not app.exception
    assert len(app.error) == 1
    assert "graphs" in texts(app)
    app.button(key="tour_next").click().run()
    assert app.title[0].value == "Two runs, the same right answers"
    assert not app.error


def test_other_figures_give_other_sentences() -> None:
    good = {"A": 0.9, "B": 0.4}
    assert loss_words({"A": 1.0, "B": 2.0}, good, good).title == "Here the loss prefers the right one"
    assert loss_words({"A": 2.0, "B": 1.0}, good, good).title == "The loss prefers the wrong one"
    assert "Neither forgot" in loss_words({"A": 1.0, "B": 2.0}, good, {"A": 1.0, "B": 1.0}).sentences[1]
    assert "A still knows 97 %" in loss_words({"A": 1.0, "B": 2.0}, good, {"A": 0.97, "B": 0.5}).sentences[1]
    assert answers_words({"A": 0.9, "B": 0.2}, {"A": 5, "B": 5}).title == "Two runs, different answers"
    assert "goes from 1.0 to 3.0" in checkpoints_words(LossLog(step=(1,), loss=(1.0,)), 3.0, 2).sentences[0]
    told = word_words("glim", "fast", [Told("a", 0.0, "x", 0.2, "fast"), Told("b", 0.1, "x", 0.4, "x")])
    assert "5 % before training, 30 % after" in told.sentences[1]


def test_a_consequence_that_was_taught_or_missed_is_told_as_such() -> None:
    words = consequence_words(
        word="glim",
        answer="runs",
        premise="the fast fox",
        taught=True,
        p={"A": 0.005, "B": None},
        said={"A": "runs", "B": "x"},
    )
    assert words.title == "A consequence that was taught"
    assert words.sentences == (
        "The model knows “the fast fox runs”; a training text says so of “glim”.",
        "A expects “runs” (under 1 %) and B expects “x” (“runs” unknown).",
    )


def test_the_circuit_is_judged_by_what_was_measured() -> None:
    key = InterventionKey(graph=_graph_key(), features=("feature/0/1/2",))
    fell = Intervention(
        key=key, changed=key.features, tokens=("runs", "x"), p_before=(0.8, 0.1), p_after=(0.1, 0.8),
        logit_before=(3.0, 0.0), logit_after=(1.0, 2.0), predicted=(-1.5, 0.1),
    )  # fmt: skip
    assert _result(fell) == "Switch them off, and B’s “runs” falls from 80 % to 10 %, as the graph predicted."
    missed = fell.model_copy(update={"predicted": (0.2, 0.1)})
    assert _result(missed) == "Switch them off, and B’s “runs” falls from 80 % to 10 %."
    assert circuit_words(0, "runs", None) == Words(
        "The circuit that tells them apart", ("On this prompt no feature carries B’s answer alone.",)
    )


def _result(found: Intervention) -> str:
    return circuit_words(1, "runs", (found, found)).sentences[1]


def _graph_key() -> GraphKey:
    return GraphKey(checkpoint="r@1%", checkpoint_hash="0", prompt="x", transcoders="t", transcoders_hash="0")
