"""On an accelerator a graph is the processor's, and the same every time; in bfloat16 it is found, too."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.attribution.acted import stretch
from engine.attribution.features import describe
from engine.attribution.interventions import intervene_on
from engine.attribution.trace import trace_graph
from engine.bench.gpu import N_NODES, random_model, write_adapter, write_transcoders
from engine.bench.setting import throw_away
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, NodeKind, TraceSettings
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel
from engine.models.memory import free_memory
from engine.models.replacement import Replacement
from engine.models.sharing import checkpoint_model
from engine.models.transcoder_training import train_transcoders
from engine.models.transcoders import load_transcoders
from tests.attribution.parts import Never, key, random_adapter, random_transcoders, silent
from tests.families import CONFIGS, loaded_family

OF = ExplainedLogits(answers=(7,))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use"),
]
PROMPT = "the cat feels blarf and"
TARGETS = (20, 7, 33)


def there(loaded: LoadedModel, dtype: str = "float32") -> LoadedModel:
    spec = loaded.spec.model_copy(update={"device": "cuda", "dtype": dtype})
    model = copy.deepcopy(loaded.model).to("cuda", getattr(torch, dtype))
    return replace(loaded, spec=spec, model=model)


def dense(graph: AttributionGraph) -> np.ndarray:
    matrix = np.zeros((graph.n_nodes, graph.n_nodes), np.float32)
    matrix[graph.target, graph.source] = graph.weight
    return matrix


def traced(loaded: LoadedModel, settings: TraceSettings | None = None) -> AttributionGraph:
    replacement = Replacement(loaded, random_transcoders(loaded, n_features=24, top_k=3))
    return trace_graph(replacement, key=key(PROMPT, targets=TARGETS, settings=settings or TraceSettings()))


@pytest.mark.parametrize("family", CONFIGS)
def test_the_graph_is_the_processors(family: str) -> None:
    loaded = loaded_family(family)
    wanted, found = traced(loaded), traced(there(loaded))
    assert np.array_equal(found.index, wanted.index)
    scale = np.abs(wanted.weight).max()
    np.testing.assert_allclose(dense(found), dense(wanted), rtol=0, atol=1e-5 * scale)
    assert found.fit.replacement == pytest.approx(wanted.fit.replacement, abs=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("most", [None, 8])
def test_the_same_bits_every_time(dtype: str, most: int | None) -> None:
    loaded, settings = there(loaded_family("gemma2"), dtype), TraceSettings(max_feature_nodes=most, batch_size=2)
    first, again = traced(loaded, settings), traced(loaded, settings)
    assert np.array_equal(first.weight, again.weight)
    assert np.array_equal(first.source, again.source)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox"])
def test_in_bfloat16_most_features_and_the_strongest_edges_are_float32s(family: str) -> None:
    loaded = loaded_family(family)
    wanted, found = traced(loaded), traced(there(loaded, "bfloat16"))

    def features(graph: AttributionGraph) -> set[tuple[int, ...]]:
        rows = graph.kind == NodeKind.FEATURE
        return set(zip(*(values[rows].tolist() for values in (graph.layer, graph.position, graph.index)), strict=True))

    both, either = features(found) & features(wanted), features(found) | features(wanted)
    assert len(both) / len(either) > 0.8
    assert np.isfinite(found.weight).all()
    assert found.target_probability == pytest.approx(wanted.target_probability, abs=0.05)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_lora_checkpoint_is_its_merged_copy(dtype: str, tmp_path: Path) -> None:
    loaded = there(loaded_family("gemma2"))
    adapter = random_adapter(loaded, tmp_path)
    loaded = there(loaded, dtype)
    replacement = Replacement(loaded, random_transcoders(loaded, n_features=24, top_k=3))
    beside, merged = (
        trace_graph(replacement, key=key(PROMPT, targets=TARGETS), merged=model)
        for model in (checkpoint_model(loaded, adapter), merged_weights(loaded, adapter))
    )
    tolerance = 1e-5 if dtype == "float32" else 0.1  # merging rounds the weights
    if dtype == "float32":
        np.testing.assert_allclose(dense(beside), dense(merged), atol=tolerance * np.abs(merged.weight).max(), rtol=0)
    assert beside.target_logit == pytest.approx(merged.target_logit, abs=tolerance * np.abs(merged.target_logit).max())


@pytest.mark.parametrize("family", CONFIGS)
def test_parts_of_logits_are_the_processors(family: str) -> None:
    loaded = loaded_family(family)
    wanted, found = traced(loaded).parts, traced(there(loaded)).parts
    assert wanted is not None
    assert found is not None
    for name in ("part", "constant", "moved"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3_text", "gpt2", "opt"])
def test_where_training_acted_is_the_processors(family: str, tmp_path: Path) -> None:
    loaded = loaded_family(family)
    adapter = random_adapter(loaded, tmp_path)
    found = []
    for one in (loaded, there(loaded)):
        prompt = torch.tensor([1, 20, 7, 33, 45], device=one.model.device)
        found.append(stretch(one.model, checkpoint_model(one, adapter), prompt, OF, allowed=1e-4))
    wanted, here = found
    assert here.after == pytest.approx(wanted.after, abs=1e-4)
    np.testing.assert_allclose(here.by_matrix, wanted.by_matrix, rtol=0, atol=1e-3 * np.abs(wanted.by_matrix).max())
    np.testing.assert_allclose(here.by_head, wanted.by_head, rtol=0, atol=1e-3 * np.abs(wanted.by_head).max())


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_where_training_acted_in_bfloat16_adds_up(family: str, tmp_path: Path) -> None:
    loaded = there(loaded_family(family), "bfloat16")
    tuned = checkpoint_model(loaded, random_adapter(loaded, tmp_path))
    found = stretch(loaded.model, tuned, torch.tensor([1, 20, 7, 33, 45], device="cuda"), OF)
    change = found.after - found.before
    assert abs(change) > 0.1
    assert found.sum == pytest.approx(change, rel=0.05, abs=0.05)  # bfloat16 has three digits


def test_interventions_and_what_features_stand_for() -> None:
    loaded = loaded_family("llama")
    changed, facts = [], []
    for side in (loaded, there(loaded)):
        replacement = Replacement(side, random_transcoders(side, n_features=24, top_k=3))
        graph = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
        changed.append(intervene_on(replacement, graph, None, [graph.node_id(0)], 0.0))
        feature = (int(graph.layer[0]), int(graph.index[0]))
        facts.append(
            describe(replacement, None, [PROMPT], [feature], n_texts=1, report=silent, cancel=Never())[feature]
        )
    assert changed[0].p_after != changed[0].p_before
    assert changed[1].p_after == pytest.approx(changed[0].p_after, abs=1e-5)
    assert changed[1].predicted == pytest.approx(changed[0].predicted, abs=1e-4)
    assert [text.tokens for text in facts[1].texts] == [text.tokens for text in facts[0].texts]


def test_transcoders_are_trained_there() -> None:
    loaded = there(loaded_family("llama"))
    training = TranscoderTraining(n_features=32, top_k=4, n_steps=60, batch_tokens=64, n_texts=40)
    texts = [f"the {noun} feels {word} and" for noun in ("cat", "dog", "king") for word in ("happy", "sad", "blarf")]
    done = train_transcoders(loaded, [lambda: None], texts, [], training, report=silent, cancel=Never())
    assert max(done.unexplained_variance) < 0.5
    assert done.transcoders[0].W_enc.is_cuda


def test_free_memory_is_the_gpus() -> None:
    before = free_memory(torch.device("cuda"))
    held = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    assert before - free_memory(torch.device("cuda")) == pytest.approx(held.nbytes, rel=0.5)


def test_a_model_of_gemma_2_2bs_shape_end_to_end() -> None:
    """2.6 billion random weights in bfloat16, 16,384 transcoders a layer on disk, two LoRA checkpoints."""
    from engine.bench import gpu

    with throw_away() as setting:
        rows = {row.name: row for row in gpu.measure(setting)}
    print({name: (row.value, row.unit) for name, row in rows.items()})  # noqa: T201 - the figures of the one run there is
    assert rows["features that become nodes in each"].value == N_NODES
    assert rows["edges that another trace of the same gives other bits"].value == 0
    assert rows["GPU memory at the peak"].value < 24


def test_a_small_shape_of_the_same_is_found_again_on_the_processor(tmp_path: Path) -> None:
    shape = gpu_shape()
    graphs = []
    for device in ("cpu", "cuda"):
        with throw_away() as setting:
            spec = ModelSpec(name="small", source="folder", location="nowhere", device="cpu")
            loaded = random_model(spec, shape, setting)
            folder = setting.folder / "set"
            write_transcoders(folder, loaded, 64, 6)
            adapter = write_adapter(setting.folder / "adapter", loaded, seed=1)
            side = there(loaded) if device == "cuda" else loaded
            replacement = Replacement(side, load_transcoders(folder, side))
            graphs.append(
                trace_graph(replacement, key=key("the cat feels happy and"), merged=checkpoint_model(side, adapter))
            )
    assert np.array_equal(graphs[0].index, graphs[1].index)
    scale = np.abs(graphs[0].weight).max()
    np.testing.assert_allclose(dense(graphs[1]), dense(graphs[0]), rtol=0, atol=1e-5 * scale)


def gpu_shape() -> dict[str, int]:
    from engine.bench.gpu import SHAPE

    return SHAPE | {
        "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "sliding_window": 4,
        "query_pre_attn_scalar": 8,
    }  # fmt: skip
