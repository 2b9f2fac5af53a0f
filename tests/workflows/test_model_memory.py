"""What a comparison takes, by hand and on real shapes; which published sets fit."""

import json
from pathlib import Path

import pytest

from engine.domain.models import ModelSpec
from engine.domain.published_sets import PUBLISHED, published_for
from engine.models.base import load_base
from engine.models.prompt_memory import PromptMemory
from engine.store import Store
from engine.store.tensor_headers import TensorHeader
from engine.workflows.model_facts import model_facts
from engine.workflows.model_memory import N_TOKENS, comparison_memory
from tests import tiny

CONFIG = {"num_hidden_layers": 1, "hidden_size": 4, "num_attention_heads": 2, "intermediate_size": 8}
TENSORS = (
    TensorHeader("model.embed_tokens.weight", (100, 4), "F32"),
    TensorHeader("model.layers.0.self_attn.q_proj.weight", (4, 4), "F32"),
    TensorHeader("model.layers.0.mlp.up_proj.weight", (8, 4), "F32"),
    TensorHeader("model.norm.weight", (4,), "F32"),
)


def test_every_part_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dask.system.cpu_count", lambda: 3)
    found = comparison_memory(CONFIG, TENSORS, 2)
    assert found is not None
    assert found.weights == 2 * (400 + 16 + 32 + 4)
    assert found.checkpoints == 2 * 8 * 4 * (4 + 4 + 8 + 4)  # two of rank 8, in float32; none on embeddings
    assert found.transcoders == 2 * 1 * 512 * 4 * 2
    n_pos, n_features = N_TOKENS + 1, 1 * N_TOKENS * 16
    prompt = PromptMemory(n_layers=1, n_heads=2, d_model=4, d_mlp=8, patterns=True)
    n_columns = n_features + 2 * n_pos + 10
    graphs = 2 * 4 * n_columns**2
    on_the_way = 3 * 4 * 2 * 4 * n_features * (N_TOKENS * 4 + n_columns)  # four batches of all on each of three cores
    passes = prompt.traced(n_pos) + prompt.features(n_features) + prompt.placed(n_pos)
    assert found.tracing == passes + graphs + on_the_way + 4 * 4 * 2 * 4  # W_V and W_O last
    assert found.n_bytes == found.weights + found.checkpoints + found.transcoders + found.tracing


def test_fewer_keys_and_no_shape() -> None:
    grouped = comparison_memory(CONFIG | {"num_key_value_heads": 1, "head_dim": 3}, TENSORS, 4)
    plain = comparison_memory(CONFIG, TENSORS, 4)
    assert grouped is not None
    assert plain is not None
    assert plain.tracing - grouped.tracing == 4 * (4 * 2 * 4 - 4 * 3 * 3)
    assert comparison_memory({"model_type": "other"}, TENSORS, 4) is None


@pytest.mark.parametrize("make", [tiny.tiny_llama, tiny.tiny_gemma2, tiny.tiny_neox])
def test_shapes_are_those_of_the_loaded_model(demo_store: Store, tmp_path: Path, make: object) -> None:
    folder = make(tmp_path / "model")  # type: ignore[operator]
    spec = ModelSpec(name="tiny", source="folder", location=str(folder))
    facts = model_facts(demo_store, spec)
    assert facts.comparing is not None
    assert facts.comparing.weights == facts.weight_bytes
    of_model = PromptMemory.of(load_base(spec, folder).model)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (of_model.n_heads, of_model.d_mlp) == (config["num_attention_heads"], config["intermediate_size"])


def test_published_sets_fit_by_family_and_shape() -> None:
    assert [one.hub_id for one in published_for("qwen3", 28, 1024)] == ["mwhanna/qwen3-0.6b-transcoders-lowl0"]
    assert {one.cross_layer for one in published_for("llama", 16, 2048)} == {True, False}
    assert published_for("olmo", 16, 2048) == ()
    assert published_for("llama", 30, 576) == ()
    assert len({one.hub_id for one in PUBLISHED}) == len(PUBLISHED)
