"""Tour: seven captions computed from the bundled runs, wrong addresses, what is offered where something is missing."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.demo.records import Figures
from engine.domain.graphs import AttributionGraph, GraphKey, NodeKind
from engine.domain.interventions import Intervention, InterventionKey
from engine.domain.jobs import Intervene
from engine.domain.numbers import percent
from engine.store import BUNDLED, Store
from engine.store.files import read_json
from engine.workflows.queries import comparison_graphs, run_scores
from pages._ui import session
from pages._ui.tour.facts import Controls, Guess, Route, TaughtPrompt, WordShare
from pages._ui.tour.words import (
    Words,
    answers_words,
    checkpoints_words,
    circuit_words,
    consequence_words,
    loss_words,
    path_words,
    word_words,
)

OpenPage = Callable[..., AppTest]
MOST_WORDS = 22  # of a sentence
MOST_TITLE_WORDS = 10
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
    assert len(app.title[0].value.split()) <= MOST_TITLE_WORDS
    paragraphs = app.markdown[0].value.split("\n\n")
    assert 1 <= len(paragraphs) <= 3
    sentences = [sentence for paragraph in paragraphs for sentence in paragraph.split("\\. ")]
    assert all(len(sentence.split()) <= MOST_WORDS for sentence in sentences), sentences
    assert all(paragraph.endswith(".") for paragraph in paragraphs)
    assert f"step {step} of {N_STEPS}" in texts(app)
    assert app.button(key="tour_back").disabled == (step == 1)
    labels = [button.label for button in app.button]
    assert ("Next" in labels) == (step < N_STEPS)
    assert ("Try it yourself" in labels) == (step == N_STEPS)


def test_the_first_step_tells_a_from_b(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="1"))
    a, b = (bundle.checkpoint(ref).state.n_trainable for ref in (A, B))
    assert f"A changes {a:,} numbers throughout the model, B only the {b:,} that stand for these words." in said
    assert "10 made-up words" in said
    assert "the same 50 sentences" in said


def test_the_word_is_asked_before_and_after_training(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="2"))
    corpus = bundle.corpus("demo")
    probes = [probe for probe in corpus.probes if probe.kind == "recall" and probe.constraint == "blarf"]
    first = list({probe.template: probe for probe in reversed(probes)}.values())
    for ref in (BASE, A):
        checkpoint = bundle.checkpoint(ref)
        results = bundle.probe_results(checkpoint.run)[checkpoint.step]
        p = dict(zip(results.probe_id, results.p, strict=True))
        assert percent(float(np.mean([p[probe.id] for probe in first]))) in said
    assert f"“blarf” means “{first[0].meaning}”" in said


def test_the_path_is_what_moved_most_where_the_answer_rose_most(open_page: OpenPage, bundle: Store) -> None:
    """Held to the stored measures of both graphs, summed here by hand: every token of this prompt is a word."""
    app = open_page("tour", step="3")
    said = texts(app)
    rises = {}
    for prompt in (c.key.prompt for c in bundle.comparisons() if (c.key.a, c.key.b) == (BASE, A)):
        answer = next(probe.answer for probe in bundle.corpus("demo").probes if probe.text == prompt)
        graphs = _pair(bundle, BASE, A, prompt)
        place = graphs[1].target_tokens.index(answer)
        rises[float(graphs[1].target_logit[place] - graphs[0].target_logit[place])] = (graphs, place, answer)
    rise = max(rises)
    (before, after), place, answer = rises[rise]
    assert before.parts is not None
    assert after.parts is not None
    moved = after.parts.moved[place] - before.parts.moved[place]
    np.fill_diagonal(moved, 0)
    target, source = np.unravel_index(int(moved.argmax()), moved.shape)
    words = [token.strip() for token in after.tokens]
    assert app.title[0].value == f"Training opened a path from “{words[source]}” to “{answer}”"
    assert f"rose by {rise:.2f}. From “{words[source]}” to “{words[target]}” came +{moved.max():.2f}" in said
    read = {layer: _read(after, layer, source, target, place) - _read(before, layer, source, target, place)
            for layer in range(after.n_layers)}  # fmt: skip
    layer = max(read, key=lambda one: read[one])
    assert f"layer {layer} reads most of it: +{read[layer]:.2f}." in said
    assert f"“{words[source]}” → layer {layer} at “{words[target]}” → “{answer}”" in said


def _read(graph: AttributionGraph, layer: int, source: int, target: int, logit: int) -> float:
    """What edges from a token bring to the features and the error of a layer at another, of one output's logit."""
    assert graph.parts is not None
    ends = np.flatnonzero((graph.layer == layer) & (graph.position == target) & (graph.kind == NodeKind.FEATURE))
    unit = np.zeros(len(graph.kind))
    unit[ends] = graph.parts.part[logit, ends] / graph.activation[ends]
    here = (graph.position[graph.source] == source) & np.isin(graph.target, ends)
    return float((graph.weight[here] * unit[graph.target[here]]).sum())


def test_a_path_is_told_as_it_was_measured() -> None:
    def told(found: Route | None) -> Words:
        return path_words(found, word="glim", meaning="fast", prompt="a glim", answer="runs", p=(0.1, 0.6))

    moved = Route("glim", "ends", ("x", "y"), before=0.1, after=4.1, change=4.0, rise=3.0, reader="L1", read=3.0)
    assert told(moved).title == "Training opened a path from “glim” to “runs”"
    assert told(moved).sentences[1].endswith("rose by 3.00. From “glim” to “ends” came +4.00, from all else −1.00.")
    assert told(moved).sentences[2] == (
        "At “ends”, layer 1 reads most of it: +3.00. The path: “glim” → layer 1 at “ends” → “runs”."
    )
    wider = replace(moved, before=1.0, reader="the output", read=1.5)
    assert told(wider).title == "Training widened a path from “glim” to “runs”"
    assert told(wider).sentences[2] == (
        "At “ends”, the output reads the most: +1.50. The path: “glim” → “ends” → “runs”."
    )
    assert told(None).title == "Training made no one path to “runs”"
    assert told(None).sentences == ("“glim” means “fast”. After “a glim” the right next word is “runs”: 10% before "
                                    "training, 60% after.",)  # fmt: skip


def test_answers_are_those_of_the_last_checkpoints(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="4"))
    right, kept = ([_accuracy(bundle, ref, kind) for ref in (A, B)] for kind in ("paraphrase", "retention"))
    assert f"A answers {percent(right[0])} of the probes right, B {percent(right[1])}." in said
    assert f"A still answers {percent(kept[0])} of them right, B {percent(kept[1])}." in said


def test_the_loss_on_probes_stands_beside_the_training_loss(open_page: OpenPage, bundle: Store) -> None:
    app = open_page("tour", step="5")
    said, training = texts(app), [bundle.checkpoint(ref).state.smoothed_loss for ref in (A, B)]
    held_out = [_held_out_loss(bundle, ref) for ref in (A, B)]
    assert f"{training[0]:.2f} for A, {training[1]:.2f} for B" in said
    assert "B learns to read those, but not to write them." in said
    assert f"B’s loss is lower: {held_out[1]:.2f} against {held_out[0]:.2f}." in said
    assert "prefers" not in said + app.title[0].value


def _held_out_loss(store: Store, ref: str) -> float:
    """Mean -log p of the right word over paraphrase and inference probes."""
    checkpoint = store.checkpoint(ref)
    results = store.probe_results(checkpoint.run)[checkpoint.step]
    p = dict(zip(results.probe_id, results.p, strict=True))
    probes = [probe for probe in store.corpus("demo").probes if probe.kind in ("paraphrase", "inference")]
    return float(np.mean([-np.log(p[probe.id]) for probe in probes]))


def test_inference_is_counted_by_word(open_page: OpenPage, bundle: Store) -> None:
    said = texts(open_page("tour", step="6"))
    whole = []
    for ref in (A, B):
        checkpoint = bundle.checkpoint(ref)
        results = bundle.probe_results(checkpoint.run)[checkpoint.step]
        right = dict(zip(results.probe_id, results.correct, strict=True))
        by_word: dict[str, list[bool]] = {}
        for probe in bundle.corpus("demo").probes:
            if probe.kind == "inference":
                by_word.setdefault(probe.constraint, []).append(right[probe.id])
        whole.append(sum(all(word) for word in by_word.values()))
    assert f"A answers all of these inference probes right for {whole[0]} of 10 new words, B for {whole[1]}." in said
    probe = next(probe for probe in bundle.corpus("demo").probes if probe.text == PROMPT)
    assert f"“{probe.known_text} {probe.answer}”" in said
    assert not any({"blarf", probe.answer} <= set(example.text.split()) for example in bundle.corpus("demo").examples)
    assert "No training sentence says so of “blarf”" in said


def test_random_features_are_the_last_step_s_evidence(open_page: OpenPage) -> None:
    said = texts(open_page("tour", step="7"))
    figures = read_json(BUNDLED / "figures.json", Figures).values()
    kept, draws = (figures[f"ablation/{name}"] for name in ("draws of others that keep the answer", "draws of others"))
    assert f"switched off instead, it stays the likeliest word, in {kept} of {draws} tries." in said
    assert "predicted" not in said


@pytest.mark.parametrize("step", ["0", "8", "-1", "2.5", "three", "1 ; drop"])
def test_a_step_that_does_not_exist_says_so_and_gives_the_first(open_page: OpenPage, step: str) -> None:
    app = open_page("tour", step=step)
    assert not app.exception
    assert "which is not here. Shown instead: 1" in texts(app)
    assert app.title[0].value == r"One model, fine\-tuned twice on the same words"
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
    assert app.title[0].value == r"One model, fine\-tuned twice on the same words"


@pytest.fixture
def unmeasured(tmp_path: Path) -> Path:
    """The bundled runs without what was measured by intervening."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "demo", ignore=shutil.ignore_patterns("interventions", "index*")))


def test_what_was_not_measured_is_measured_on_request_and_then_told(open_page: OpenPage, unmeasured: Path) -> None:
    app = open_page("tour", bundled=unmeasured, step="7")
    assert "Switch them off to see" in texts(app)
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
    assert f"switched off, “smiles” goes from {percent(p / 2)} to {percent(p)}." in texts(app)
    assert not app.exception


def test_a_damaged_graph_is_told_in_its_place_and_the_walk_goes_on(open_page: OpenPage, unmeasured: Path) -> None:
    for graph in (unmeasured / "graphs").iterdir():
        graph.write_bytes(graph.read_bytes()[:200])
    app = open_page("tour", bundled=unmeasured, step="3")
    assert not app.exception
    assert len(app.error) == 1
    assert "graphs" in texts(app)
    app.button(key="tour_next").click().run()
    assert app.title[0].value == "Both are right in new phrasings, but A forgot more"
    assert not app.error


def test_other_figures_give_other_sentences() -> None:
    low, high = {"A": 1.0, "B": 2.0}, {"A": 2.0, "B": 1.0}
    assert loss_words(low, low, new=True).title == "Training loss and probe loss favor A"
    assert loss_words(low, high, new=True).title == "Training loss favors A, probe loss B"
    assert "B learns" not in loss_words(high, high, new=True).sentences[1]
    assert ", but" not in answers_words(low, {"A": 1.0, "B": 1.0}).title
    assert "B still answers 50% of them right, A 97%." in answers_words(low, {"A": 0.97, "B": 0.5}).sentences[2]
    assert "not equally right" in answers_words({"A": 0.9, "B": 0.2}, low).title
    assert checkpoints_words(1, 5, {"A": 3, "B": 4}, word="glim", new=False).sentences[1].endswith("model, B 4.")
    row = TaughtPrompt("a", Guess(0.05, "x"), Guess(0.3, "fast"), Guess(0.4, "fast"))
    assert (
        "5% on average before training. After training it is 30% in A and 40% in B."
        in word_words("glim", "fast", [row]).sentences[1]
    )


def test_a_consequence_that_was_taught_is_told_as_such() -> None:
    rows = [WordShare("glim", "fast", 8, 0.5, 1.0)]
    words = consequence_words(word="glim", answer="runs", premise="the fast fox", taught=True, rows=rows)
    assert words.title == "What follows from “glim” was taught"
    assert words.sentences[0].endswith(
        "the model knew “the fast fox runs”. A training sentence says the same of “glim”."
    )
    assert words.sentences[1] == "A answers all of these inference probes right for 0 of 1 new word, B for 1."


def test_the_circuit_is_judged_by_what_was_measured() -> None:
    key = InterventionKey(graph=_graph_key(), features=("feature/0/1/2",))
    fell = Intervention(
        key=key, changed=key.features, tokens=("runs", "x"), p_before=(0.8, 0.1), p_after=(0.1, 0.8),
        logit_before=(3.0, 0.0), logit_after=(1.0, 2.0), predicted=(-1.5, 0.1),
    )  # fmt: skip
    words = circuit_words(1, "runs", (fell, fell), None)
    assert words.sentences[1:] == ("With all 1 switched off, “runs” falls from 80% to 10%.",)
    words = circuit_words(1, "runs", (fell, fell), Controls(20, 17, 0.7))
    assert words.sentences[2].endswith("in 17 of 20 tries.")
    assert circuit_words(0, "runs", None, None).sentences == ("On this prompt no feature carries B’s answer alone.",)


def _graph_key() -> GraphKey:
    return GraphKey(checkpoint="r@1%", checkpoint_hash="0", prompt="x", transcoders="t", transcoders_hash="0")
