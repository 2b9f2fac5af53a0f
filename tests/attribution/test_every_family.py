"""Each row of the table of families: its graph is circuit-tracer's where that knows the family, and autograd's."""

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

from engine.attribution.middle import Middle
from engine.attribution.trace import trace_graph
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel, encode
from engine.models.hook_points import READS, WRITES
from engine.models.replacement import Replacement
from engine.models.sharing import checkpoint_model
from tests.attribution import autograd_oracle
from tests.attribution.lens_oracle import LENSES, lens_model
from tests.attribution.parts import BACKWARD_HOOK, key, random_adapter, random_transcoders
from tests.families import CONFIGS, VARIANTS, loaded_family

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
PROMPT = "the cat feels blarf and"
TARGETS = (20, 7, 33)


@pytest.fixture(scope="module", params=[*CONFIGS, *VARIANTS])
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded_family(request.param)


def dense(graph: AttributionGraph) -> np.ndarray:
    matrix = np.zeros((graph.n_nodes, graph.n_nodes), np.float32)
    matrix[graph.target, graph.source] = graph.weight
    return matrix


def assert_is_autograds(loaded: LoadedModel, transcoders: TranscoderSet | CrossLayerTranscoder) -> None:
    """Wherever rows and columns meet."""
    replacement = Replacement(loaded, transcoders)
    tokens = encode(loaded, PROMPT)[0]
    with replacement.opened(None) as model:
        features, wanted = autograd_oracle.edges(model.parts.model, tokens, transcoders, list(TARGETS))
    assert len(features) > 10
    for layer in range(loaded.n_layers):
        with patch("engine.attribution.effects.best_middle", return_value=Middle(layer, 0)) as asked:
            graph = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
        asked.assert_called_once()
        rows = graph.kind == NodeKind.FEATURE
        assert np.array_equal(np.stack([graph.layer, graph.position, graph.index], 1)[rows], features)
        found = dense(graph)[rows | (graph.kind == NodeKind.LOGIT)][:, : -len(TARGETS)]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def drawn(transcoders: TranscoderSet | CrossLayerTranscoder) -> TranscoderSet | CrossLayerTranscoder:
    generator = torch.Generator().manual_seed(1)
    for parameter in transcoders.parameters():
        parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return transcoders.requires_grad_(requires_grad=False)


def with_skips(loaded: LoadedModel) -> TranscoderSet:
    plain = random_transcoders(loaded, n_features=24, top_k=3)
    layers = {
        layer: SingleLayerTranscoder(
            loaded.d_model, 24, one.activation_function, layer, skip_connection=True, device=torch.device("cpu"),
            dtype=torch.float32,
        )
        for layer, one in enumerate(plain)
    }  # fmt: skip
    return drawn(TranscoderSet(layers, plain.feature_input_hook, plain.feature_output_hook, scan="random"))


def cross_layer(loaded: LoadedModel, *, skip: bool) -> CrossLayerTranscoder:
    plain = random_transcoders(loaded, n_features=8, top_k=1)
    return drawn(
        CrossLayerTranscoder(
            loaded.n_layers, 8, loaded.d_model, lazy_decoder=False, skip_connection=skip, scan="random",
            feature_input_hook=plain.feature_input_hook, feature_output_hook=plain.feature_output_hook,
            device=torch.device("cpu"), dtype=torch.float32,
        )
    )  # fmt: skip


@pytest.mark.parametrize("family", CONFIGS)
def test_a_checkpoint_is_traced_as_its_merged_copy_is(family: str, tmp_path: Path) -> None:
    loaded = loaded_family(family)
    adapter = random_adapter(loaded, tmp_path)
    replacement = Replacement(loaded, random_transcoders(loaded, n_features=24, top_k=3))
    base, found, wanted = (
        dense(trace_graph(replacement, key=key(PROMPT, targets=TARGETS), merged=weights))
        for weights in (None, checkpoint_model(loaded, adapter), merged_weights(loaded, adapter))
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert base.shape != wanted.shape or np.abs(base - wanted).max() > 0.01


KINDS = {
    "skips": with_skips,
    "cross-layer": partial(cross_layer, skip=False),
    "cross-layer with skips": partial(cross_layer, skip=True),
}


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "opt"])
@pytest.mark.parametrize("kind", KINDS)
def test_skip_connections_and_cross_layer_transcoders(family: str, kind: str) -> None:
    loaded = loaded_family(family)
    assert_is_autograds(loaded, KINDS[kind](loaded))


@pytest.mark.parametrize("silent", [(0,), (1,)])
def test_layers_without_an_active_feature(silent: tuple[int, ...]) -> None:
    loaded = loaded_family("llama")
    transcoders = random_transcoders(loaded, n_features=24, top_k=3)
    for layer in silent:
        transcoders[layer].b_enc.data -= 1e4
    replacement = Replacement(loaded, transcoders)
    graph = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
    with replacement.opened(None) as model:
        tokens = encode(loaded, PROMPT)[0]
        features, wanted = autograd_oracle.edges(model.parts.model, tokens, transcoders, list(TARGETS))
    rows = graph.kind == NodeKind.FEATURE
    assert not set(graph.layer[rows].tolist()) & set(silent)
    assert len(features) == rows.sum()
    found = dense(graph)[rows | (graph.kind == NodeKind.LOGIT)][:, : -len(TARGETS)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_no_active_feature_at_all() -> None:
    loaded = loaded_family("llama")
    transcoders = random_transcoders(loaded, n_features=24, top_k=3)
    for transcoder in transcoders:
        transcoder.b_enc.data -= 1e4
    graph = trace_graph(Replacement(loaded, transcoders), key=key(PROMPT, targets=TARGETS))
    assert not (graph.kind == NodeKind.FEATURE).any()
    assert set(graph.kind[graph.target].tolist()) == {NodeKind.LOGIT}
    assert np.isfinite(graph.weight).all()


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_a_graph_is_near_float32s(kind: str) -> None:
    loaded = loaded_family("gemma2")
    half = replace(loaded, model=copy.deepcopy(loaded.model).bfloat16())
    wanted, found = (
        trace_graph(Replacement(side, KINDS[kind](loaded)), key=key(PROMPT, targets=TARGETS)) for side in (loaded, half)
    )
    nodes = [
        set(zip(graph.layer.tolist(), graph.position.tolist(), graph.index.tolist(), strict=True))
        for graph in (wanted, found)
    ]
    assert len(nodes[0] & nodes[1]) > 0.8 * len(nodes[0] | nodes[1])
    assert found.target_logit == pytest.approx(wanted.target_logit, abs=0.05 * float(np.abs(wanted.target_logit).max()))
    assert np.isfinite(found.weight).all()


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("writes", WRITES)
def test_every_hook_point(family: str, reads: str, writes: str) -> None:
    loaded = loaded_family(family)
    transcoders = with_skips(loaded)
    transcoders.feature_input_hook, transcoders.feature_output_hook = reads, writes
    assert_is_lenses(loaded, transcoders)


def test_a_prompt_whose_last_token_wakes_no_feature() -> None:
    """circuit-tracer's cross-layer transcoder takes the last position with a feature for the end."""
    loaded = loaded_family("llama")
    transcoders = cross_layer(loaded, skip=True)
    encode_sparse = transcoders.encode_sparse

    def silent_at_the_end(reads: torch.Tensor, zero_positions: slice) -> tuple[torch.Tensor, torch.Tensor]:
        transcoders.encode_sparse = encode_sparse
        features, encoders = encode_sparse(reads, zero_positions=zero_positions)
        values = features.to_dense()
        values[:, -1] = 0
        return values.to_sparse(), encoders[features.indices()[1] < reads.shape[1] - 1]

    transcoders.encode_sparse = silent_at_the_end
    graph = trace_graph(Replacement(loaded, transcoders), key=key(PROMPT, targets=TARGETS))
    features = graph.kind == NodeKind.FEATURE
    assert 0 < graph.position[features].max() < len(graph.tokens) - 1
    assert np.isfinite(graph.weight).all()


def test_the_graph_is_autograds(loaded: LoadedModel) -> None:
    assert_is_autograds(loaded, random_transcoders(loaded, n_features=24, top_k=3))


def test_the_graph_is_that_of_circuit_tracers_transformerlens_backend(loaded: LoadedModel) -> None:
    config = loaded.model.config
    odd_biases = getattr(config, "mlp_bias", False) or not getattr(config, "enable_bias", True)
    if loaded.family not in LENSES or odd_biases:
        pytest.skip("circuit-tracer's TransformerLens backend has no such model")
    assert_is_lenses(loaded, random_transcoders(loaded, n_features=24, top_k=3))


def assert_is_lenses(loaded: LoadedModel, transcoders: TranscoderSet | CrossLayerTranscoder) -> None:
    graph = trace_graph(Replacement(loaded, transcoders), key=key(PROMPT, targets=TARGETS))
    theirs = attribute(
        encode(loaded, PROMPT)[0],
        lens_model(loaded.model, transcoders, loaded.tokenizer),
        attribution_targets=torch.tensor(TARGETS),
        batch_size=64,
    )
    wanted = theirs.adjacency_matrix.numpy()
    np.testing.assert_allclose(dense(graph), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
