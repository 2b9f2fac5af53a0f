"""What a graph says is what the model does: sums, probabilities, scores, the same graph by other ways."""

import copy
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.graph import compute_graph_scores, compute_node_influence
from peft import LoraConfig, get_peft_model

from engine.analysis.pruning import contributions, flow, node_influence, prune
from engine.attribution.trace import trace_graph
from engine.domain.errors import InputError, PromptRefused
from engine.domain.graphs import AttributionGraph, NodeKind, TraceSettings
from engine.models.adapters import merged_weights, save_adapter
from engine.models.base import LoadedModel, encode
from engine.models.replacement import Replacement
from engine.models.sharing import checkpoint_model
from engine.models.transcoders import save_transcoders
from tests.attribution.conftest import lens_of
from tests.attribution.parts import BACKWARD_HOOK, FOLDERS, PROMPT, key, load, random_adapter, random_transcoders
from tests.tiny import D_MODEL, tiny_gemma3

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
TARGETS = (20, 7, 33, 4)
ARRAYS = ("kind", "layer", "position", "index", "activation", "source", "target", "weight")


def dense(graph: AttributionGraph) -> np.ndarray:
    """(n_nodes, n_nodes), rows are targets."""
    matrix = np.zeros((graph.n_nodes, graph.n_nodes), np.float32)
    matrix[graph.target, graph.source] = graph.weight
    return matrix


def same(a: AttributionGraph, b: AttributionGraph) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)


def without_node(replacement: Replacement, model: Any, targets: tuple[int, ...]) -> np.ndarray:
    """(n_targets,) of each centred logit, what circuit-tracer gives no node: decoder biases, and MLPs at position 0.

    Worked out apart from `attribute`: by differentiating the logit itself of circuit-tracer's `model`, attention
    patterns and norms held fixed.
    """
    layers = range(replacement.loaded.n_layers)
    writes: dict[int, torch.Tensor] = {}
    logits: list[torch.Tensor] = []
    hooks = [("unembed.hook_post", lambda acts, hook: logits.append(acts))]
    for layer in layers:
        name = f"blocks.{layer}.{model.feature_output_hook}"
        hooks.append((name, lambda acts, hook, layer=layer: writes.__setitem__(layer, acts)))
    with model.hooks(fwd_hooks=hooks):
        model(encode(replacement.loaded, PROMPT))
    rest = []
    for target in targets:
        centred = logits[0][0, -1, target] - logits[0][0, -1].mean()
        gradients = torch.autograd.grad(centred, [writes[layer] for layer in layers], retain_graph=True)
        rest.append(
            sum(
                float(
                    gradient[0, 0] @ writes[layer][0, 0].detach()
                    + gradient[0, 1:].sum(0) @ model.transcoders[layer].b_dec
                )
                for layer, gradient in zip(layers, gradients, strict=True)
            )
        )
    return np.array(rest)


def test_direct_effects_add_up_to_the_logit(replacement: Replacement, lens: Any) -> None:
    """Features, errors and tokens into a logit node, plus the two constants without a node: the centred logit."""
    graph = trace_graph(replacement, key=key(targets=TARGETS))
    into = dense(graph)[graph.kind == NodeKind.LOGIT].sum(1)
    rest = without_node(replacement, lens, TARGETS)
    np.testing.assert_allclose(into + rest, graph.target_logit, rtol=1e-4, atol=1e-5)
    assert np.abs(rest).max() > 1e-2  # and without them they would not


def test_without_biases_only_position_0_is_missing(llama: Replacement) -> None:
    """With b_dec = 0 the remainder is what the MLPs write at BOS, which is the same for every prompt's BOS."""
    transcoders = random_transcoders(llama.loaded)
    for transcoder in transcoders:
        transcoder.b_dec.data.zero_()
    replacement = Replacement(llama.loaded, transcoders)
    graph = trace_graph(replacement, key=key(targets=TARGETS))
    gap = graph.target_logit - dense(graph)[graph.kind == NodeKind.LOGIT].sum(1)
    rest = without_node(replacement, lens_of(replacement), TARGETS)
    np.testing.assert_allclose(gap, rest, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_probabilities_and_logits_are_the_models_own(replacement: Replacement) -> None:
    loaded = replacement.loaded
    graph = trace_graph(replacement, key=key(targets=TARGETS))
    logits = loaded.model(input_ids=encode(loaded, PROMPT)).logits[0, -1]
    np.testing.assert_allclose(graph.target_probability, logits.softmax(-1)[list(TARGETS)], rtol=1e-4)
    cap = getattr(loaded.model.config, "final_logit_softcapping", None)
    raw = cap * torch.atanh(logits / cap) if cap else logits
    np.testing.assert_allclose(graph.target_logit, (raw - raw.mean())[list(TARGETS)], rtol=1e-4, atol=1e-5)


def test_nodes_and_edges(replacement: Replacement) -> None:
    graph = trace_graph(replacement, key=key(targets=TARGETS))
    n_pos, n_layers = len(PROMPT.split()) + 1, replacement.loaded.n_layers
    assert graph.tokens == ("<bos>", *PROMPT.split())
    assert [int((graph.kind == kind).sum()) for kind in NodeKind][1:] == [n_layers * n_pos, n_pos, len(TARGETS)]
    assert (np.diff(graph.kind.astype(int)) >= 0).all()
    assert len(set(graph.node_ids())) == graph.n_nodes
    assert tuple(graph.index[graph.kind == NodeKind.LOGIT]) == TARGETS
    assert tuple(graph.target_tokens) == tuple(replacement.loaded.tokenizer.decode([t]) for t in TARGETS)
    assert (graph.weight != 0).all()
    # Nothing acts backwards: not in layers, not in positions.
    assert (graph.layer[graph.source] < graph.layer[graph.target]).all()
    assert (graph.position[graph.source] <= graph.position[graph.target]).all()
    # Position 0 has no active features, and its errors act on nothing.
    assert (graph.position[graph.kind == NodeKind.FEATURE] > 0).all()
    assert (graph.activation[graph.kind == NodeKind.FEATURE] > 0).all()
    assert not graph.activation[graph.kind != NodeKind.FEATURE].any()


@pytest.mark.parametrize("max_feature_nodes", [None, 5, 30])
def test_every_edge_and_score_is_circuit_tracers(
    replacement: Replacement, lens: Any, max_feature_nodes: int | None
) -> None:
    """With fewer features than are active, the same ones; in batches so small that they are ranked several times."""
    batch_size = 64 if max_feature_nodes is None else 3
    settings = TraceSettings(max_feature_nodes=max_feature_nodes, batch_size=batch_size)
    graph = trace_graph(replacement, key=key(targets=TARGETS, settings=settings))
    theirs = attribute(
        encode(replacement.loaded, PROMPT)[0], lens, attribution_targets=torch.tensor(TARGETS),
        batch_size=batch_size, max_feature_nodes=max_feature_nodes,
    )  # fmt: skip
    features = graph.kind == NodeKind.FEATURE
    nodes = np.stack([graph.layer, graph.position, graph.index], 1)[features]
    assert np.array_equal(nodes, theirs.active_features[theirs.selected_features].numpy())
    wanted = theirs.adjacency_matrix.numpy()
    np.testing.assert_allclose(dense(graph), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    scores = graph.fit.replacement, graph.fit.completeness
    assert scores == pytest.approx(compute_graph_scores(theirs), rel=1e-4)
    # The plain floor computes the same influence from the stored edges.
    weights = torch.zeros(graph.n_nodes)
    weights[-len(TARGETS) :] = theirs.logit_probabilities
    influence = compute_node_influence(theirs.adjacency_matrix, weights).numpy()
    np.testing.assert_allclose(node_influence(graph), influence, rtol=1e-3, atol=1e-6)
    errors = influence[graph.kind == NodeKind.ERROR].sum() / influence.sum()
    assert graph.fit.error_share == pytest.approx(float(errors), rel=1e-5)
    assert graph.fit.unexplained_variance is not None
    assert graph.fit.unexplained_variance > 0.1  # random features explain nothing


def test_without_targets_the_most_probable_tokens_are_traced(llama: Replacement) -> None:
    graph = trace_graph(llama, key=key(settings=TraceSettings(n_logits=3)))
    with torch.no_grad():
        logits = llama.loaded.model(input_ids=encode(llama.loaded, PROMPT)).logits[0, -1]
    assert graph.index[graph.kind == NodeKind.LOGIT].tolist() == logits.topk(3).indices.tolist()


def test_the_edges_and_features_that_contribute_most_are_kept(llama: Replacement) -> None:
    whole = trace_graph(llama, key=key(targets=TARGETS))
    few = trace_graph(llama, key=key(targets=TARGETS, settings=TraceSettings(max_edges=300)))
    assert few.n_edges == 300 < whole.n_edges
    kept = prune(whole).edge_mask | (whole.kind[whole.target] == NodeKind.LOGIT)
    assert 0 < kept.sum() < 300
    best = np.sort(np.argsort(-np.where(kept, np.inf, contributions(whole)), kind="stable")[:300])
    for name in ("source", "target", "weight"):
        assert np.array_equal(getattr(few, name), getattr(whole, name)[best])
    assert not np.array_equal(best, np.sort(np.argsort(-np.abs(whole.weight), kind="stable")[:300]))
    assert few.fit == whole.fit
    small = trace_graph(llama, key=key(targets=TARGETS, settings=TraceSettings(max_feature_nodes=5)))
    assert (small.kind == NodeKind.FEATURE).sum() == 5
    ids, wanted = small.node_ids(), dict(zip(whole.node_ids(), whole.activation, strict=True))
    assert all(wanted[node] == value for node, value in zip(ids, small.activation, strict=True))


@pytest.mark.parametrize("most", [1, 300])
def test_no_measure_depends_on_how_many_edges_are_kept(llama: Replacement, most: int) -> None:
    """The graph as it comes out of circuit-tracer's functions, with every edge, is the reference."""
    whole = trace_graph(llama, key=key(targets=TARGETS))
    cut = trace_graph(llama, key=key(targets=TARGETS, settings=TraceSettings(max_edges=most)))
    assert (whole.is_whole, cut.is_whole) == (True, False)
    bare = replace(whole, uncut=None, parts=None)
    of_all, of_cut = flow(bare), flow(cut)
    np.testing.assert_allclose(of_cut.influence, of_all.influence, rtol=1e-5, atol=1e-9)
    place = {pair: row for row, pair in enumerate(zip(whole.source, whole.target, strict=True))}
    rows = [place[pair] for pair in zip(cut.source, cut.target, strict=True)]
    for name in ("share", "contribution"):
        np.testing.assert_allclose(getattr(of_cut, name), getattr(of_all, name)[rows], rtol=1e-5, atol=1e-9)
    kept_all, kept_cut = prune(bare), prune(cut)
    assert np.array_equal(kept_cut.node_mask, kept_all.node_mask)
    assert np.array_equal(np.array(rows)[kept_cut.edge_mask], np.flatnonzero(kept_all.edge_mask))


def test_one_token_is_enough(llama: Replacement) -> None:
    graph = trace_graph(llama, key=key("cat"))
    assert graph.tokens == ("<bos>", "cat")
    assert graph.fit.unexplained_variance is None  # one token has no variance


@pytest.mark.parametrize("prompt", ["", "   ", "the qwertz feels", "cat " * 64])
def test_prompts_that_the_model_cannot_take_are_refused(llama: Replacement, prompt: str) -> None:
    with pytest.raises(PromptRefused):
        trace_graph(llama, key=key(prompt))


def test_a_target_that_is_no_token_is_refused(llama: Replacement) -> None:
    with pytest.raises(InputError, match="Output token 100000 does not exist"):
        trace_graph(llama, key=key(targets=(4, 100_000)))


def test_a_swapped_trace_is_that_of_a_fresh_load(replacement: Replacement, tmp_path: Path) -> None:
    loaded = replacement.loaded
    merged = merged_weights(loaded, random_adapter(loaded, tmp_path / "adapter"))
    before = trace_graph(replacement, key=key(targets=TARGETS))
    swapped = trace_graph(replacement, key=key(targets=TARGETS), merged=merged)
    fresh = Replacement(_with(loaded, merged), random_transcoders(loaded))
    assert same(swapped, trace_graph(fresh, key=key(targets=TARGETS)))
    assert not same(swapped, before)
    assert same(before, trace_graph(replacement, key=key(targets=TARGETS)))


def _with(loaded: LoadedModel, merged: torch.nn.Module) -> LoadedModel:
    return LoadedModel(**{**vars(loaded), "model": merged})


def test_lora_on_the_unembedding_is_traced(llama: Replacement, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LoraConfig(r=2, target_modules=["lm_head", "q_proj"], init_lora_weights=False)
        save_adapter(get_peft_model(copy.deepcopy(llama.loaded.model), config), tmp_path, base_name="tiny")
    ours, merged = (
        trace_graph(llama, key=key(), merged=make(llama.loaded, tmp_path))
        for make in (checkpoint_model, merged_weights)
    )
    assert (ours.index == merged.index).all()
    assert ours.target_logit == pytest.approx(merged.target_logit, rel=1e-4)
    assert np.abs(ours.weight - merged.weight).max() < 1e-4 * np.abs(merged.weight).max()


def test_threads_that_trace_together_and_beside_training(llama: Replacement, tmp_path: Path) -> None:
    """Two threads trace different checkpoints on one replacement model while a third one trains."""
    loaded = llama.loaded
    models = [merged_weights(loaded, random_adapter(loaded, tmp_path / str(i), seed=i)) for i in range(2)]
    alone = [trace_graph(llama, key=key(targets=TARGETS), merged=model) for model in models]
    losses = _train(loaded, steps=30)
    done = threading.Event()

    def train_on() -> list[float]:
        got = _train(loaded, steps=30)
        while not done.is_set():
            assert _train(loaded, steps=5) == losses[:5]
        return got

    with ThreadPoolExecutor(3) as pool:
        training = pool.submit(train_on)
        jobs = [(i, pool.submit(trace_graph, llama, key=key(targets=TARGETS), merged=models[i])) for i in (0, 1) * 10]
        graphs = [(i, job.result()) for i, job in jobs]
        done.set()
        assert training.result() == losses
    assert all(same(graph, alone[i]) for i, graph in graphs)


def _train(loaded: LoadedModel, steps: int) -> list[float]:
    model = merged_weights(loaded, None).train().requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = encode(loaded, PROMPT).expand(8, -1)
    losses = []
    for _ in range(steps):
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_graph_is_that_of_circuit_tracers_nnsight_backend(tmp_path: Path) -> None:
    """Another backend in another process, from the merged folders on disk, for every family that it knows."""
    ours: dict[str, AttributionGraph] = {}
    tiny_gemma3(tmp_path / "base-gemma3_text")
    families = [*FOLDERS, "gemma3_text"]
    for family in families:
        loaded = load(family, tmp_path / f"base-{family}")
        merged = merged_weights(loaded, random_adapter(loaded, tmp_path / f"adapter-{family}"))
        transcoders = random_transcoders(loaded)
        ours[family] = trace_graph(Replacement(loaded, transcoders), key=key(targets=TARGETS), merged=merged)
        folder = tmp_path / family
        merged.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        save_transcoders(folder, transcoders)
    oracle = Path(__file__).with_name("nnsight_oracle.py")
    given = json.dumps({"folders": {f: str(tmp_path / f) for f in families}, "prompt": PROMPT, "targets": TARGETS})
    done = subprocess.run([sys.executable, oracle, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for family, graph in ours.items():
        theirs = np.load(tmp_path / family / "oracle.npz")
        rows = graph.kind == NodeKind.FEATURE
        assert np.array_equal(theirs["features"], np.stack([graph.layer, graph.position, graph.index], 1)[rows])
        np.testing.assert_allclose(graph.activation[rows], theirs["activations"], rtol=1e-4)
        wanted = theirs["adjacency"]
        if family == "gemma3_text":  # this backend takes a token for its embedding before Gemma 3 scales it
            wanted[:, graph.kind == NodeKind.TOKEN] *= D_MODEL**0.5
        np.testing.assert_allclose(dense(graph), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
        np.testing.assert_allclose(graph.target_probability, theirs["probabilities"], rtol=1e-4)
