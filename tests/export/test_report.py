"""A run's report: the bundled runs, a run of which almost nothing is left, hostile names in a corpus."""

import dataclasses
import json
import re

import pytest

from engine.analysis.acted import acted_sentence
from engine.analysis.carried import carried_sentence
from engine.analysis.diff import diff_graphs
from engine.domain.corpus import Corpus
from engine.domain.errors import NotFound
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import Comparison, ComparisonKey
from engine.domain.runs import CheckpointState, LossLog, ProbeResults, RunConfig
from engine.export.report import default_comparison, run_report
from engine.export.report_acted import acted_part
from engine.export.report_comparison import comparison_part
from engine.store import Store
from engine.workflows.queries import comparison_graphs
from tests.acted_means import but_rounding
from tests.export.markup import look_into
from tests.figures.map_makers import pair

PROMPT = "the cat feels blarf and"


def corpus_of(demo_store: Store, **changes: str) -> Corpus:
    """Two examples and the first probes of the demo's corpus, with texts changed."""
    corpus = demo_store.corpus("demo")
    examples = tuple(example.model_copy(update=changes) for example in corpus.examples[:2])
    return dataclasses.replace(corpus, name="small", examples=examples, probes=corpus.probes[:3])


def state(step: int, n_steps: int = 2) -> CheckpointState:
    return CheckpointState(
        step=step, max_steps=n_steps, epoch=0.0, loss=1.0 if step else None, smoothed_loss=1.0 if step else None,
        learning_rate=0.1, seed=0, examples_seen=step, wall_time_s=1.5, corpus_hash="", versions={"torch": "2.0"},
    )  # fmt: skip


def save_run(store: Store, config: RunConfig, steps: tuple[int, ...]) -> None:
    store.save_run(config)
    for step in steps:
        with store.new_checkpoint(config.name, state(step, config.n_steps)):
            pass  # a report reads no weights


@pytest.mark.parametrize("rate", [None, 0.05])
def test_of_an_imported_run_nothing_is_told_that_nobody_knows(store: Store, rate: float | None) -> None:
    config = RunConfig(name="theirs", corpus="none", n_steps=2, imported=True, learning_rate=rate)
    save_run(store, config, (0, 2))
    text = re.sub(r"\s+", " ", look_into(run_report(store, "theirs")).text)
    assert "Trained elsewhere and imported, 2 steps in" in text
    assert "No corpus: it was imported without one" in text
    assert bool(re.search("Learning rate ?0.05", text)) == (rate is not None)
    for invented in (
        "Learning rate 0.002",
        "Seed",
        "Examples a step",
        "examples seen",
        "every linear layer",
        "corpus none",
        "No corpus named",
        "What it was taught",
    ):
        assert invented not in text, invented


def test_of_a_model_that_lay_alone_nothing_tells_how_many_steps_it_was_trained(store: Store) -> None:
    store.save_run(RunConfig(name="merged", corpus="none", method="full", n_steps=1, imported=True))
    for step in (0, 1):
        unknown = {"loss": None, "smoothed_loss": None, "n_trainable": 1000 * step, "wall_time_s": 0.0}
        with store.new_checkpoint("merged", state(step, 1).model_copy(update=unknown)):
            pass
    text = re.sub(r"\s+", " ", look_into(run_report(store, "merged")).text)
    assert (
        "imported; nothing in it tells how many steps it was trained, 1,000 parameters in tensors that differ" in text
    )
    assert re.search("Steps ?not told", text)
    for invented in ("of 1 step", "All weights", "parameters trained", "★", "logged loss", "every step"):
        assert invented not in text, invented


def test_weights_that_stay_where_they_lie_are_not_called_copied(store: Store) -> None:
    store.save_run(RunConfig(name="theirs", corpus="none", method="full", n_steps=2, imported=True))
    for step in (0, 1, 2):
        with store.new_checkpoint("theirs", state(step)) as folder:
            if step:
                about = json.dumps({"folder": f"/runs/out/checkpoint-{step}"})
                (folder / "weights.json").write_text(about, encoding="utf-8")
    text = re.sub(r"\s+", " ", look_into(run_report(store, "theirs")).text)
    assert "trained elsewhere; its weights were not copied in but stay where they are (/runs/out), and only" in text


def test_losses_of_an_imported_run_are_named_by_the_steps_that_they_are_of(store: Store) -> None:
    store.save_run(RunConfig(name="theirs", corpus="none", n_steps=20, imported=True))
    for step in (0, 8, 10):
        unknown = {"loss": None, "smoothed_loss": None, "wall_time_s": 0.0}
        with store.new_checkpoint("theirs", state(step, 20).model_copy(update=unknown)):
            pass
    store.save_losses("theirs", LossLog(step=(5, 10), loss=(2.0, 1.25), learning_rate=(0.1, 0.1)))
    text = re.sub(r"\s+", " ", look_into(run_report(store, "theirs")).text)
    assert "imported, 10 of 20 steps." in text
    assert "Training loss as its trainer logged it: 2 points, each the mean of 5 steps. It says" in text
    assert re.search(r"step 8 ?2\.00 \(mean of steps 1 to 5\)", text)
    assert re.search(r"step 10 ?1\.25 \(mean of steps 6 to 10\)", text)
    for invented in ("every step", "running mean", "★"):
        assert invented not in text, invented


def test_the_bundled_run(demo_store: Store) -> None:
    page = run_report(demo_store, "demo-lora")
    found = look_into(page)
    assert found.scripts == []
    assert "script" not in found.tags
    assert found.addresses == []
    assert found.handlers == []
    assert "script-src 'none'" in found.policy
    config, last = demo_store.run("demo-lora"), demo_store.checkpoints("demo-lora")[-1]
    for text in (
        "demo-lora", "LoRA", f"rank {config.rank}", "blarf = happy", "simple mapping", "recall probes",
        f"{last.state.smoothed_loss:.2f}", "the cat feels blarf and", "torch 2.", "base", "step 300",
    ):  # fmt: skip
        assert text in re.sub(r"\s+", " ", found.text), text
    # loss, curves, circuit change, where training acted, what carries the answer, both graphs, what differs
    assert found.tags.count("svg") == 7
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_where_training_acted_is_told_on_the_prompt_of_the_comparison(demo_store: Store) -> None:
    refs = ("demo-lora@base", "demo-lora@100%")
    acted = next(
        one for key in demo_store.acted_keys() if (one := demo_store.acted(key)) and key.prompt == PROMPT
        and (key.checkpoints[0], key.checkpoints[-1]) == refs
    )  # fmt: skip
    text = re.sub(r"\s+", " ", look_into(run_report(demo_store, "demo-lora")).text)
    assert (
        f"Where training acted On the prompt “{PROMPT} ▁”. Explained is “{acted.answer}”. {acted_sentence(acted)}"
        in text
    )
    diff = diff_graphs(*comparison_graphs(demo_store, *refs, PROMPT))
    place = "".join(piece for piece, _ in carried_sentence(diff))
    assert "came through layer" in place
    assert place in text
    # It was measured between the runs, and not over this one.
    assert "Where training acted" not in look_into(run_report(demo_store, "demo-tokens")).text


def test_a_contrast_is_told_apart_from_what_the_comparison_explains(
    demo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = ("demo-lora@base", "demo-lora@100%")
    own = [key for key in demo_store.acted_keys() if (key.checkpoints[0], key.checkpoints[-1]) == refs]
    plain = next(found for key in own if key.prompt == PROMPT and (found := demo_store.acted(key)))
    (answer,) = plain.key.explained.answers
    other = ExplainedLogits(answers=(answer,), against=(answer + 1,))
    contrast = dataclasses.replace(
        plain, key=plain.key.model_copy(update={"explained": other}), words=(*plain.words, "sad")
    )
    demo_store.save_acted(contrast)
    checkpoints = [demo_store.checkpoint(ref) for ref in refs]
    part = acted_part(demo_store, checkpoints, PROMPT)
    assert part is not None
    assert part.explained == plain.answer  # as in the comparison, though the contrast is newer
    monkeypatch.setattr(Store, "acted_keys", lambda _: [contrast.key])
    text = re.sub(r"\s+", " ", look_into(run_report(demo_store, "demo-lora")).text)
    assert f"Explained is “{plain.answer} − sad”." in text
    assert f"Explained is “{plain.answer}”, unlike above." in text


def test_where_no_answer_changed_the_report_says_so_without_a_map(demo_store: Store) -> None:
    checkpoints = [demo_store.checkpoint(ref) for ref in ("demo-lora@base", "demo-lora@100%")]
    whole = acted_part(demo_store, checkpoints, PROMPT)
    assert whole is not None
    assert whole.picture is not None
    for key in demo_store.acted_keys():
        if (found := demo_store.acted(key)) is not None:
            demo_store.save_acted(but_rounding(found))
    part = acted_part(demo_store, checkpoints, PROMPT)
    assert part is not None
    assert (part.prompt, part.picture) == (PROMPT, None)
    page = run_report(demo_store, "demo-lora")
    assert part.sentence in re.sub(r"\s+", " ", look_into(page).text)
    assert "Parts of the change of the answer" not in page


def test_graphs_of_a_deep_model_are_left_out_for_its_map(demo_store: Store) -> None:
    diff = pair(30, 12)
    a, b = (
        dataclasses.replace(one, key=one.key.model_copy(update={"transcoders_hash": "a0"})) for one in (diff.a, diff.b)
    )
    for graph in (a, b):
        demo_store.save_graph(graph)
    key = ComparisonKey(a="real@base", b="real@100%", prompt=a.key.prompt, transcoders="t")
    part = comparison_part(demo_store, Comparison(key=key, graph_a=a.key, graph_b=b.key))
    assert part.pictures == ()
    assert "L29" in part.map


def test_the_circuits_of_a_watched_run_are_in_it(demo_store: Store) -> None:
    readings = demo_store.decisions("demo-tokens").readings
    text = re.sub(r"\s+", " ", look_into(run_report(demo_store, "demo-tokens")).text)
    assert "How its circuits changed" in text
    assert f"Circuits of {len(readings)} checkpoints were traced while it trained" in text
    change = readings[-1].types[0].change[demo_store.run("demo-tokens").decisions.measure]
    assert f"{change.value:.2f} (floor {change.edge:.2f})" in text


def test_the_default_comparison_is_base_against_last_on_the_first_inference_probe(demo_store: Store) -> None:
    checkpoints = demo_store.checkpoints("demo-lora")
    chosen = default_comparison(demo_store, checkpoints, demo_store.corpus("demo").probes)
    assert chosen is not None
    assert (chosen.key.a, chosen.key.b) == ("demo-lora@base", "demo-lora@100%")
    other = default_comparison(demo_store, demo_store.checkpoints("demo-tokens"))
    assert other is not None
    assert "demo-tokens@100%" in (other.key.a, other.key.b)
    assert default_comparison(demo_store, []) is None


def test_a_run_of_which_almost_nothing_is_left(store: Store) -> None:
    save_run(store, RunConfig(name="bare", corpus="gone", n_steps=2), (0,))
    text = look_into(run_report(store, "bare")).text
    assert "No losses and no probes are kept" in text
    assert "No corpus named “gone”" in text
    assert "What changed inside" not in text
    assert "How its circuits changed" not in text


def test_a_run_without_a_checkpoint(store: Store) -> None:
    save_run(store, RunConfig(name="new", corpus="gone", n_steps=2), ())
    assert "There is no checkpoint yet" in look_into(run_report(store, "new")).text


def test_texts_of_the_corpus_are_texts(demo_store: Store) -> None:
    corpus = corpus_of(
        demo_store, text="</li><script>window.hacked = 1</script>", constraint="<b>bold</b>", meaning="a & b \x00"
    )
    demo_store.save_corpus(corpus)
    config = RunConfig(name="small", corpus="small", corpus_hash="0" * 16, n_steps=2, method="tokens")
    save_run(demo_store, config, (0, 2))
    demo_store.save_losses("small", LossLog(step=(1, 2), loss=(2.0, 1.0), learning_rate=(0.1, 0.1)))
    results = ProbeResults(
        probe_id=tuple(p.id for p in corpus.probes), predicted=("a",) * 3, p=(0.1,) * 3, rank=(1,) * 3,
        logit_diff=(0.0,) * 3, correct=(True, False, True),
    )  # fmt: skip
    demo_store.save_probe_results("small", 2, results)
    found = look_into(run_report(demo_store, "small"))
    assert "script" not in found.tags
    assert "</li><script>window.hacked = 1</script>" in found.text
    assert "<b>bold</b>" in found.text
    assert "␀" in found.text
    assert "is not the one that this run was trained on any more" in found.text
    assert "2 of 3" in found.text  # probes: few
    assert found.tags.count("svg") == 2


def test_probes_of_another_corpus_are_told_and_the_rest_stays(demo_store: Store) -> None:
    demo_store.save_corpus(corpus_of(demo_store))
    save_run(demo_store, RunConfig(name="other", corpus="small", n_steps=2), (0,))
    results = ProbeResults(
        probe_id=("nobody",), predicted=("a",), p=(0.1,), rank=(1,), logit_diff=(0.0,), correct=(True,)
    )
    demo_store.save_probe_results("other", 0, results)
    text = look_into(run_report(demo_store, "other")).text
    assert "The learning curves cannot be shown" in text
    assert "What it was taught" in text


def test_a_damaged_graph_is_named_and_the_rest_stays(demo_store: Store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    import shutil

    from engine.store import BUNDLED

    shelf = tmp_path / "demo"
    shutil.copytree(BUNDLED, shelf)
    for graph in (shelf / "graphs").glob("*.safetensors"):
        graph.write_bytes(graph.read_bytes()[:-100])
    text = look_into(run_report(Store(tmp_path / "own", bundled=shelf), "demo-lora")).text
    assert "is damaged" in text
    assert "How it learned" in text


def test_an_unknown_run(store: Store) -> None:
    with pytest.raises(NotFound, match="nobody"):
        run_report(store, "nobody")
