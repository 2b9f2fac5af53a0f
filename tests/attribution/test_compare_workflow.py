"""The whole path in every family: base, adapters, a shared transcoder set, two graphs to the same targets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.analysis.diff import diff_graphs
from engine.analysis.parts import output_ids
from engine.attribution.gradients import feature_gradients
from engine.domain.diffs import GraphDiff
from engine.domain.errors import Canceled, ComparisonRefused, InputError, NotFound, PromptRefused
from engine.domain.graphs import GraphPair, NodeKind, TraceSettings
from engine.domain.jobs import Compare, Trace, TrainTranscoders
from engine.models.as_trained import check_as_trained
from engine.models.base import LoadedModel
from engine.models.replacement import Replacement
from engine.models.transcoders import load_transcoders, save_transcoders
from engine.store import Store
from engine.workflows import run
from engine.workflows.queries import comparison_graphs, traced_graph
from engine.workflows.transcoders import REFRESH, shared_request
from tests.attribution.parts import (
    BACKWARD_HOOK,
    PROMPT,
    SMALL,
    Never,
    add_run,
    load,
    random_transcoders,
    silent,
    workspace,
)
from tests.tiny import tiny_corpus

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)

LABELS = ("base", "25%", "50%", "100%")


@pytest.fixture(autouse=True)
def _small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.transcoders.SHARED_TRAINING", SMALL)


def tracing_began(said: list[tuple[float, str]]) -> float:
    return next(fraction for fraction, message in said if message.startswith("Tracing"))


@pytest.mark.parametrize("family", ["gemma2", "qwen3"])
def test_the_whole_path(family: str, store: Store, tmp_path: Path) -> None:
    workspace(store, family, tmp_path / "base")
    said: list[tuple[float, str]] = []
    request = Compare(a="one@base", b="two@step4", prompts=(PROMPT, "the dog rises"))
    result = run(store, request, lambda *told: said.append(told), Never())
    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert tracing_began(said) > 0.9  # before that a set is trained

    (meta,) = store.transcoder_sets()  # trained on the way, on every checkpoint of both runs
    assert set(meta.checkpoints) == {f"{name}@{label}" for name in ("one", "two") for label in LABELS}
    assert {comparison.key.hash for comparison in store.comparisons()} == set(result.split(","))

    graphs = comparison_graphs(store, "one@base", "two@100%", PROMPT)
    assert graphs is not None
    a, b = graphs
    assert (a.key.checkpoint, b.key.checkpoint) == ("one@base", "two@100%")
    assert a.key.checkpoint_hash != b.key.checkpoint_hash
    assert np.array_equal(a.index[a.kind == NodeKind.LOGIT], b.index[b.kind == NodeKind.LOGIT])
    assert diff_graphs(a, b).summary.edge_similarity < 1
    turned = comparison_graphs(store, "two@100%", "one@base", PROMPT)
    assert turned is not None
    assert [graph.key for graph in turned] == [b.key, a.key]

    said.clear()
    run(store, request.model_copy(update={"prompts": ("the king is",)}), lambda *told: said.append(told), Never())
    assert tracing_began(said) == 0  # the set is there


def test_a_shared_set_sees_checkpoints_of_the_whole_run(store: Store, tmp_path: Path) -> None:
    loaded = load("llama", tmp_path / "base")
    add_run(store, loaded, "few", seed=1, steps=(0, 1, 2, 4))
    add_run(store, loaded, "many", seed=2, steps=tuple(range(41)))
    sides = [store.checkpoint("few@100%"), store.checkpoint("many@step3")]
    request = shared_request(store, sides, loaded)
    seen = [store.checkpoint(ref) for ref in request.checkpoints]
    assert [c.step for c in seen if c.run == "few"] == [0, 1, 2, 4]
    of_many = [c.step for c in seen if c.run == "many"]
    assert of_many == sorted({0, 3, *(round(40 * place / 16 - 0.01) for place in range(1, 17))})
    assert max(np.diff(of_many)) <= 3
    assert shared_request(store, sides[::-1], loaded).checkpoints == request.checkpoints


def test_a_new_run_goes_on_from_a_set_that_is_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = workspace(store, "llama", tmp_path / "base")
    for name, checkpoints in (("one-run", ("one@base", "one@25%", "one@100%")), ("alone", ("one@100%",))):
        run(store, TrainTranscoders(name=name, checkpoints=checkpoints, training=SMALL), silent, Never())
    sides = [store.checkpoint("one@base"), store.checkpoint("two@100%")]
    # Neither is good enough to go on from: so small, so shortly trained, they leave much unexplained.
    assert shared_request(store, sides, loaded).start == ""
    monkeypatch.setattr("engine.workflows.transcoders._WELL", 1.0)
    request = shared_request(store, sides, loaded)
    assert request.start == "one-run"  # the one that has seen more; `alone` has not even seen the base
    assert request.training == SMALL.model_copy(update=REFRESH)
    assert request.name.startswith("shared-one-two-")
    monkeypatch.setattr("engine.workflows.transcoders.REFRESH", {"n_steps": 5})
    run(store, Compare(a="one@base", b="two@100%", prompts=(PROMPT,)), silent, Never())
    (meta,) = [m for m in store.transcoder_sets() if m.start]
    assert (meta.start, meta.training.n_steps) == ("one-run", 5)
    assert set(meta.checkpoints) == {f"{name}@{label}" for name in ("one", "two") for label in LABELS}
    old, new = (load_transcoders(store.transcoder_folder(name), loaded) for name in ("one-run", meta.name))
    for before, after in zip(old, new, strict=True):  # what a number stands for is kept
        assert torch.cosine_similarity(before.W_dec, after.W_dec).min() > 0.9
        assert not torch.equal(before.W_dec, after.W_dec)
    # A set of the same size that was trained for longer is the better one to go on from.
    longer = SMALL.model_copy(update={"n_steps": 60})
    run(store, TrainTranscoders(name="longer", checkpoints=meta.checkpoints, training=longer), silent, Never())
    add_run(store, loaded, "three", seed=30)
    assert shared_request(store, [store.checkpoint("three@100%")], loaded).start == "longer"
    other = SMALL.model_copy(update={"n_features": 8, "top_k": 2})
    asked = TrainTranscoders(name="wrong", checkpoints=("one@base",), training=other, start="longer")
    with pytest.raises(InputError, match="8 features"):
        run(store, asked, silent, Never())
    with pytest.raises(NotFound, match="gone"):
        run(store, TrainTranscoders(name="x", checkpoints=("one@base",), start="gone"), silent, Never())


def test_a_set_that_goes_on_reads_the_base_often_enough(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load("llama", tmp_path / "base")
    store.save_corpus(tiny_corpus())
    add_run(store, loaded, "many", seed=2, steps=tuple(range(9)))
    refs = tuple(checkpoint.ref for checkpoint in store.checkpoints("many"))
    request = TrainTranscoders(name="first", checkpoints=refs, training=SMALL)
    run(store, request, silent, Never())
    seen: list[bool] = []

    def reading(_: LoadedModel, checkpoints: list[Callable[[], object]], *__: object, **___: object) -> None:
        seen.extend(weights() is None for weights in checkpoints)
        raise Canceled

    monkeypatch.setattr("engine.models.transcoder_training.train_transcoders", reading)
    for change, n_base in (({"name": "plain"}, 1), ({"name": "next", "start": "first"}, 2)):
        with pytest.raises(Canceled):
            run(store, request.model_copy(update=change), silent, Never())
        assert (len(seen) - sum(seen), sum(seen)) == (8, n_base)
        seen.clear()


def test_an_equal_set_is_not_trained_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(store, "llama", tmp_path / "base")
    request = TrainTranscoders(name="mine", checkpoints=("one@base", "one@step4"), training=SMALL)
    run(store, request, silent, Never())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("engine.models.transcoder_training.train_transcoders", refuse)
    assert run(store, request, silent, Never()) == "mine"
    for change in (
        {"checkpoints": ("one@base",)},
        {"training": SMALL.model_copy(update={"seed": 9})},
        {"start": "mine"},
    ):
        with pytest.raises(InputError, match="another transcoder set “mine” already"):
            run(store, request.model_copy(update=change), silent, Never())


def test_what_is_stored_is_not_traced_again(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(store, "llama", tmp_path / "base")
    request = Compare(a="one@100%", b="one@50%", prompts=(PROMPT,))
    first = run(store, request, silent, Never())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("traced or trained again")

    with monkeypatch.context() as patched:
        patched.setattr("engine.attribution.trace.trace_prompt", refuse)
        patched.setattr("engine.models.transcoder_training.train_transcoders", refuse)
        assert run(store, request, silent, Never()) == first
        assert len(store.transcoder_sets()) == 1

    graph = store.comparison("one@100%", "one@50%", PROMPT).graph_a  # type: ignore[union-attr]
    path = store.workspace / "graphs" / f"{graph.hash}.safetensors"
    path.write_bytes(path.read_bytes()[:100])  # a damaged graph is traced again
    assert run(store, request, silent, Never()) == first
    assert store.graph(graph).key == graph


def test_a_pair_that_is_cut_compares_as_the_whole_one(store: Store, tmp_path: Path) -> None:
    """Whatever is kept: also where one graph was there before, and where what is known of the pair is damaged."""
    workspace(store, "llama", tmp_path / "base")
    sides = {"a": "one@100%", "b": "two@50%", "prompts": (PROMPT,)}
    run(store, Compare(**sides), silent, Never())
    wanted = diff_graphs(*comparison_graphs(store, "one@100%", "two@50%", PROMPT))  # type: ignore[misc]
    few = TraceSettings(max_edges=1)
    run(store, Compare(**sides, settings=few), silent, Never())

    def found() -> GraphDiff:
        a, b = comparison_graphs(store, "one@100%", "two@50%", PROMPT)  # type: ignore[misc]
        assert a.key.settings == b.key.settings == few
        assert not store.graph(a.key).is_whole
        assert a.n_edges < wanted.a.n_edges
        return diff_graphs(a, b)

    assert "not kept" not in set(found().edges["status"])
    assert not found().explained.is_estimated
    assert not wanted.explained.is_estimated
    assert len(store.graph_pairs()) == 2
    pair = GraphPair.of(found().a.key, found().b.key)
    path = store.workspace / "pairs" / f"{pair.hash}.safetensors"

    def assert_as_the_whole_one() -> None:
        pd.testing.assert_frame_equal(found().edges, wanted.edges, rtol=1e-4, atol=1e-6)
        pd.testing.assert_frame_equal(found().nodes, wanted.nodes, rtol=1e-4, atol=1e-6)

    assert_as_the_whole_one()
    kept = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(kept[:50])):
        damage()
        run(store, Compare(**sides, settings=few), silent, Never())
        assert path.read_bytes() == kept
    run(store, Compare(a="one@50%", b="two@50%", prompts=(PROMPT,), settings=few), silent, Never())
    assert len(store.graph_pairs()) == 3
    assert_as_the_whole_one()


def test_a_pair_of_before_gradients_were_kept_gets_them_without_a_trace(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each side's are those of its own model."""
    loaded = workspace(store, "llama", tmp_path / "base")
    request = Compare(a="one@base", b="two@100%", prompts=(PROMPT,), settings=TraceSettings(max_edges=1))
    run(store, request, silent, Never())
    (pair,) = store.graph_pairs()
    stored = store.pair_measures(pair.first, pair.second)
    assert stored is not None
    old = replace(stored, gradients_of_first=None, gradients_of_second=None)
    store.save_pair_measures(old)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("traced again")

    a, b = comparison_graphs(store, "one@base", "two@100%", PROMPT)  # type: ignore[misc]
    assert diff_graphs(a, b).explained.is_estimated
    with monkeypatch.context() as patched:
        patched.setattr("engine.attribution.trace.trace_prompt", refuse)
        run(store, request, silent, Never())
    found = store.pair_measures(pair.first, pair.second)
    for name in ("of_first", "of_second", "gradients_of_first", "gradients_of_second"):
        np.testing.assert_array_equal(getattr(found, name), getattr(stored, name))
    a, b = comparison_graphs(store, "one@base", "two@100%", PROMPT)  # type: ignore[misc]
    assert not diff_graphs(a, b).explained.is_estimated
    assert a.gradients is not None
    folder = store.transcoder_folder(a.key.transcoders)
    own = feature_gradients(
        Replacement(loaded, load_transcoders(folder, loaded)), None, PROMPT, output_ids(a), a.gradients.features
    )
    np.testing.assert_allclose(a.gradients.per_unit, own, rtol=0.01, atol=1e-6)


def test_trace_one_checkpoint_to_its_own_top_tokens(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    assert traced_graph(store, "one@100%", PROMPT) is None
    result = run(store, Trace(checkpoint="one@100%", prompts=(PROMPT,)), silent, Never())
    graph = traced_graph(store, "one@100%", PROMPT)
    assert graph is not None
    assert graph.key.hash == result
    assert (np.diff(graph.target_probability) <= 0).all()


def test_a_named_set_and_the_models_own_set(store: Store, tmp_path: Path) -> None:
    loaded = workspace(store, "llama", tmp_path / "base")
    request = TrainTranscoders(name="mine", checkpoints=("one@base", "one@step4", "two@base"), training=SMALL)
    assert run(store, request, silent, Never()) == "mine"
    meta = store.transcoder_set("mine")
    assert meta.checkpoints == ("one@base", "one@100%", "two@base")
    assert len(meta.unexplained_variance) == loaded.n_layers
    run(store, Compare(a="one@25%", b="two@25%", prompts=(PROMPT,), transcoders="mine"), silent, Never())
    assert comparison_graphs(store, "one@25%", "two@25%", PROMPT, "mine") is not None
    assert comparison_graphs(store, "one@25%", "two@25%", PROMPT, "other") is None
    with pytest.raises(NotFound, match="other"):
        run(store, Compare(a="one@25%", b="two@25%", prompts=(PROMPT,), transcoders="other"), silent, Never())

    given = tmp_path / "given"
    given.mkdir()
    save_transcoders(given, random_transcoders(loaded))
    config = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    (given / "config.yaml").write_text(config, encoding="utf-8")
    run(store, Compare(a="one@25%", b="two@25%", prompts=(PROMPT,), transcoders=str(given)), silent, Never())
    graphs = comparison_graphs(store, "one@25%", "two@25%", PROMPT, str(given))
    assert graphs is not None
    assert {graph.key.transcoders for graph in graphs} == {str(given)}
    spec = loaded.spec.model_copy(update={"transcoders": str(given), "name": "with-own"})
    add_run(store, LoadedModel(**{**vars(loaded), "spec": spec}), "three", seed=30)
    run(store, Trace(checkpoint="three@base", prompts=(PROMPT,)), silent, Never())
    graph = traced_graph(store, "three@base", PROMPT)
    assert graph is not None
    assert graph.key.transcoders == str(given)


def test_canceled_between_prompts_keeps_what_is_done(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    run(store, TrainTranscoders(name="mine", checkpoints=("one@base", "one@25%"), training=SMALL), silent, Never())

    class Token:
        def check(self) -> None:
            if list(store.comparisons()):
                raise Canceled

    with pytest.raises(Canceled):
        run(store, Compare(a="one@base", b="one@25%", prompts=(PROMPT, "the dog rises")), silent, Token())
    assert [comparison.key.prompt for comparison in store.comparisons()] == [PROMPT]


def test_other_models_are_refused_and_the_same_one_elsewhere_is_not(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    copied = load("llama", tmp_path / "copy")
    add_run(store, copied, "copied", seed=40)
    run(store, Compare(a="one@base", b="copied@25%", prompts=(PROMPT,)), silent, Never())
    add_run(store, load("qwen3", tmp_path / "qwen3"), "other", seed=50)
    with pytest.raises(ComparisonRefused, match=r"“one” was trained on .*“other” on .*Compare checkpoints of one"):
        run(store, Compare(a="one@base", b="other@base", prompts=(PROMPT,)), silent, Never())
    # The same weights with another tokenizer
    mixed = load("llama", tmp_path / "mixed")
    text = (tmp_path / "mixed" / "tokenizer.json").read_text(encoding="utf-8")
    swapped = text.replace('"cat"', '"_"').replace('"dog"', '"cat"').replace('"_"', '"dog"')
    (tmp_path / "mixed" / "tokenizer.json").write_text(swapped, encoding="utf-8")
    add_run(store, mixed, "mixed", seed=60)
    with pytest.raises(ComparisonRefused, match="another tokenizer"):
        run(store, Compare(a="one@base", b="mixed@base", prompts=(PROMPT,)), silent, Never())


def test_bad_prompts_and_checkpoints(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    run(store, TrainTranscoders(name="mine", checkpoints=("one@base", "one@25%"), training=SMALL), silent, Never())
    with pytest.raises(PromptRefused, match="qwertz"):
        run(store, Compare(a="one@base", b="one@25%", prompts=("the qwertz",)), silent, Never())
    with pytest.raises(NotFound, match="one@25%"):
        run(store, Compare(a="one@base", b="one@75%", prompts=(PROMPT,)), silent, Never())
    assert store.graph_keys() == []


@pytest.mark.parametrize("prompt", [" ", "the qwertz", "the " * 100])
def test_a_prompt_that_cannot_be_read_is_refused_before_transcoders_are_trained(
    store: Store, tmp_path: Path, prompt: str
) -> None:
    workspace(store, "llama", tmp_path / "base")
    for request in (
        Compare(a="one@base", b="one@25%", prompts=(PROMPT, prompt)),
        Trace(checkpoint="one@base", prompts=(PROMPT, prompt)),
    ):
        with pytest.raises(PromptRefused):
            run(store, request, silent, Never())
    assert list((store.workspace / "transcoders").glob("*")) == []
    assert store.graph_keys() == []


def test_a_prompt_that_does_not_fit_is_refused_before_transcoders_are_trained(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace(store, "llama", tmp_path / "base")
    monkeypatch.setattr("engine.models.prompt_memory.PromptMemory.traced", lambda _, n_pos: n_pos * 10**15)
    with pytest.raises(PromptRefused, match=r"tokens: tracing it takes about .* are free"):
        run(store, Compare(a="one@base", b="one@25%", prompts=(PROMPT,)), silent, Never())
    assert list((store.workspace / "transcoders").glob("*")) == []


def test_a_checkpoint_that_diverged_is_refused_and_the_others_are_traced(store: Store, tmp_path: Path) -> None:
    loaded = workspace(store, "llama", tmp_path / "base")
    *_, last = store.checkpoints("one")
    assert last.adapter is not None
    path = last.adapter / "adapter_model.safetensors"
    save_file({name: torch.full_like(one, torch.nan) for name, one in load_file(path).items()}, path)
    check_as_trained(loaded, last.adapter)  # as an import does
    for request in (
        Compare(a="one@base", b=last.ref, prompts=(PROMPT,)),
        Trace(checkpoint=last.ref, prompts=(PROMPT,)),
    ):
        with pytest.raises(InputError, match=f"{last.ref} answers with what are no numbers"):
            run(store, request, silent, Never())
    assert last.ref not in shared_request(store, [store.checkpoint("one@25%")], loaded).checkpoints
