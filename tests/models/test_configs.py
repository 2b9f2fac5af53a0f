"""config.json of every origin: read as it is meant, or refused by name. The reference is transformers itself."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    OlmoConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.models import ModelSpec
from engine.models.base import encode, load_base
from engine.models.configs import model_config
from tests.models.public_configs import PUBLIC
from tests.tiny import _save, _shape, tiny_gemma3, tiny_llama, tiny_neox, tiny_tokenizer

PROMPT = "the king feels blarf and it is so the queen is"  # 12 tokens with BOS
BY_DIM = [1.0 + 0.3 * i for i in range(8)]
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
YARN = {"factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 8.0}
LONG = {"long_factor": BY_DIM, "short_factor": BY_DIM[::-1]}


def llama(**fields: Any) -> LlamaConfig:
    return LlamaConfig(**{**_shape(), "num_key_value_heads": 2, "head_dim": 16, **fields})


def gemma3(**fields: Any) -> Gemma3TextConfig:
    layers = ["sliding_attention", "full_attention"]
    shape = {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 4, "query_pre_attn_scalar": 16}
    return Gemma3TextConfig(**{**_shape(), **shape, "layer_types": layers, **fields})


def edited(folder: Path, *drop: str, **fields: Any) -> Path:
    """The folder with keys of its config.json taken out and others put in."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    kept = {key: value for key, value in config.items() if key not in drop}
    file.write_text(json.dumps(kept | fields), encoding="utf-8")
    return folder


def as_five(folder: Path, rope: dict[str, Any], **fields: Any) -> Path:
    """As transformers 5 writes it: `rope_parameters`, and none of the names that it stands for."""
    old = [
        "rope_theta",
        "rope_scaling",
        "rope_local_base_freq",
        "rotary_emb_base",
        "rotary_pct",
        "partial_rotary_factor",
    ]
    return edited(folder, *old, rope_parameters=rope, transformers_version="5.24.0", **fields)


def spec(folder: Path) -> ModelSpec:
    return ModelSpec(name="mine", source="folder", location=str(folder))


def answers(folder: Path) -> torch.Tensor:
    """Logits that `load_base`'s model gives to PROMPT."""
    loaded = load_base(spec(folder))
    with torch.no_grad():
        return loaded.model(input_ids=encode(loaded, PROMPT)).logits


def reference(config: PretrainedConfig, folder: Path) -> torch.Tensor:
    """The same from a model that this transformers made and saved."""
    _save(folder, config)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model.load_state_dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())
    ids = tiny_tokenizer()(f"<bos> {PROMPT}", return_tensors="pt").input_ids
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def phi3(**fields: Any) -> Phi3Config:
    return Phi3Config(**{**_shape(), "rope_theta": 50.0, **fields})


# name -> what transformers 4 says, and the same as transformers 5 writes it
FIVE: dict[str, tuple[Callable[[], PretrainedConfig], dict[str, Any]]] = {
    "theta": (lambda: llama(rope_theta=50.0), {"rope_type": "default", "rope_theta": 50.0}),
    "linear": (
        lambda: llama(rope_theta=50.0, rope_scaling={"rope_type": "linear", "factor": 4.0}),
        {"rope_type": "linear", "rope_theta": 50.0, "factor": 4.0},
    ),
    "dynamic": (
        lambda: llama(rope_theta=50.0, rope_scaling={"rope_type": "dynamic", "factor": 4.0}),
        {"rope_type": "dynamic", "rope_theta": 50.0, "factor": 4.0},
    ),
    "yarn": (
        lambda: llama(rope_theta=50.0, rope_scaling={"rope_type": "yarn", **YARN}),
        {"rope_type": "yarn", "rope_theta": 50.0, **YARN},
    ),
    "llama3": (
        lambda: llama(rope_theta=500.0, rope_scaling={"rope_type": "llama3", **LLAMA3}),
        {"rope_type": "llama3", "rope_theta": 500.0, **LLAMA3},
    ),
    "longrope": (
        lambda: llama(original_max_position_embeddings=8, rope_scaling={"rope_type": "longrope", **LONG}),
        {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 8, **LONG},
    ),
    "mistral": (
        lambda: MistralConfig(
            **_shape(), num_key_value_heads=1, sliding_window=4, rope_theta=50.0,
            rope_scaling={"rope_type": "linear", "factor": 2.0},
        ),
        {"rope_type": "linear", "rope_theta": 50.0, "factor": 2.0},
    ),
    "olmo": (lambda: OlmoConfig(**_shape(), rope_theta=50.0), {"rope_type": "default", "rope_theta": 50.0}),
    "olmo 2": (
        lambda: Olmo2Config(**_shape(), rope_theta=50.0, rope_scaling={"type": "linear", "factor": 2.0}),
        {"rope_type": "linear", "rope_theta": 50.0, "factor": 2.0},
    ),
    "qwen 2, by layer": (
        lambda: Qwen2Config(
            **_shape(), num_key_value_heads=1, rope_theta=50.0, use_sliding_window=True, sliding_window=4,
            layer_types=["full_attention", "sliding_attention"],
        ),
        {"rope_type": "default", "rope_theta": 50.0},
    ),
    "qwen 3": (
        lambda: Qwen3Config(
            **_shape(), num_key_value_heads=1, head_dim=16, rope_theta=50.0, rope_scaling={"rope_type": "yarn", **YARN}
        ),
        {"rope_type": "yarn", "rope_theta": 50.0, **YARN},
    ),
    "gemma": (
        lambda: GemmaConfig(**_shape(), num_key_value_heads=1, head_dim=16, rope_theta=50.0),
        {"rope_type": "default", "rope_theta": 50.0},
    ),
    "gemma 2": (
        lambda: Gemma2Config(
            **_shape(), num_key_value_heads=1, head_dim=16, rope_theta=50.0, sliding_window=4,
            query_pre_attn_scalar=16, attn_logit_softcapping=2.0,
        ),
        {"rope_type": "default", "rope_theta": 50.0},
    ),
    "gemma 3, by layer type": (
        lambda: gemma3(
            rope_theta=500.0, rope_local_base_freq=20.0, rope_scaling={"rope_type": "linear", "factor": 8.0}
        ),
        {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 500.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
        },
    ),
    "one for all layer types": (
        lambda: llama(rope_theta=50.0),
        {name: {"rope_type": "default", "rope_theta": 50.0} for name in ("full_attention", "sliding_attention")},
    ),
    "phi 3, half of a head": (
        lambda: phi3(partial_rotary_factor=0.5),
        {"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5},
    ),
    "phi 3, longrope": (
        lambda: phi3(
            original_max_position_embeddings=8, rope_scaling={"type": "longrope", **LONG}, partial_rotary_factor=1.0
        ),
        {
            "rope_type": "longrope", "rope_theta": 50.0, "partial_rotary_factor": 1.0,
            "original_max_position_embeddings": 8, **LONG,
        },
    ),
    "gpt-neox, half of a head": (
        lambda: GPTNeoXConfig(
            **_shape(), rotary_pct=0.5, rotary_emb_base=50.0, rope_scaling={"rope_type": "linear", "factor": 2.0}
        ),
        {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0, "partial_rotary_factor": 0.5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIVE)
def test_what_transformers_5_wrote_answers_as_it_was_trained(name: str, tmp_path: Path) -> None:
    make, rope = FIVE[name]
    right = reference(make(), tmp_path / "model")
    torch.testing.assert_close(answers(tmp_path / "model"), right, rtol=0, atol=2e-5)  # as transformers 4 wrote it
    torch.testing.assert_close(answers(as_five(tmp_path / "model", rope)), right, rtol=0, atol=2e-5)


def test_positions_count_in_these_models(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    base = reference(llama(rope_theta=50.0), tmp_path / "model")
    assert (answers(edited(tmp_path / "model", rope_theta=10000.0)) - base).abs().max() > 0.05


def test_scaling_that_the_class_refuses_and_the_code_knows_is_computed(tmp_path: Path) -> None:
    """OLMo's class takes linear and dynamic scaling only; transformers 5 writes any."""
    folder = _save(tmp_path / "model", OlmoConfig(**_shape(), rope_theta=50.0))
    config = OlmoConfig(**_shape(), rope_theta=50.0)
    config.rope_scaling = {"rope_type": "yarn", **YARN}
    model = AutoModelForCausalLM.from_config(config).eval()
    model.load_state_dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())
    ids = tiny_tokenizer()(f"<bos> {PROMPT}", return_tensors="pt").input_ids
    right = model(input_ids=ids).logits.detach()
    as_five(folder, {"rope_type": "yarn", "rope_theta": 50.0, **YARN})
    torch.testing.assert_close(answers(folder), right, rtol=0, atol=2e-5)


def test_bfloat16_weights_in_shards_are_read_as_they_are(tmp_path: Path) -> None:
    folder = _save(tmp_path / "model", llama(rope_theta=50.0))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "half", max_shard_size="20KB")
    tiny_tokenizer().save_pretrained(tmp_path / "half")
    assert len(list((tmp_path / "half").glob("model-*.safetensors"))) > 1
    as_five(tmp_path / "half", {"rope_type": "default", "rope_theta": 50.0}, dtype="bfloat16")
    ids = tiny_tokenizer()(f"<bos> {PROMPT}", return_tensors="pt").input_ids
    right = model.float().eval()(input_ids=ids).logits.detach()
    torch.testing.assert_close(answers(tmp_path / "half"), right, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_models_load(name: str, tmp_path: Path) -> None:
    """With every key of theirs; and the loaded model says what the file says."""
    fields = PUBLIC[name]
    (tmp_path / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    AutoModelForCausalLM.from_config(model_config(tmp_path).config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    config = load_base(spec(tmp_path)).model.config
    said = {key: value for key, value in fields.items() if key in ("rope_theta", "hidden_act", "layer_types")}
    assert {key: getattr(config, key) for key in said} == said
    assert bool(config.to_dict().get("rope_scaling")) == bool(fields.get("rope_scaling"))


@pytest.fixture(scope="module")
def tiny_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    makers = {"llama": tiny_llama, "gemma3": tiny_gemma3, "neox": tiny_neox}
    made = {name: make(folder / name) for name, make in makers.items()}
    made["mistral"] = _save(folder / "mistral", MistralConfig(**_shape(), num_key_value_heads=1, sliding_window=4))
    made["gemma"] = _save(folder / "gemma", GemmaConfig(**_shape(), num_key_value_heads=1, head_dim=16))
    return made


def default(**more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0, **more}}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"rope_parameters": {"rope_type": "proportional", "rope_theta": 50.0}}, "rope_type “proportional”"),
    ("llama", {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}}, "rope_type “spiral”.*knows default, linear"),
    ("neox", {"head_dim": 3}, "head_dim 3, which"),
    ("llama", default(factor=4.0), "“factor” in its rope settings, which rope_type “default” would ignore"),
    ("llama", default(mrope_section=[2, 3, 3]), "“mrope_section”"),
    ("llama", default(partial_rotary_factor=0.5), "partial_rotary_factor 0.5.*none in this family"),
    ("llama", {"rope_scaling": {"type": "linear"}}, "“linear” without its factor"),
    ("llama", {"rope_scaling": {"type": "yarn", "rope_type": "linear", "factor": 2.0}}, "linear and yarn"),
    ("llama", {"rope_scaling": "yarn"}, "rope_scaling yarn, which are no settings"),
    ("llama", {**default(), "rope_theta": 7.0}, "both rope_theta 7.0 and, in its rope settings, 50.0"),
    ("llama", {**default(), "rope_scaling": {"type": "linear", "factor": 2.0}}, "contradict each other"),
    (
        "llama",
        {"rope_parameters": {"full_attention": default()["rope_parameters"], "sliding_attention": {"rope_theta": 9}}},
        "different rope_parameters by layer type",
    ),
    ("llama", {"rope_parameters": {"window": {"rope_theta": 9}}}, "“window” in rope_parameters"),
    ("gemma3", default(), "one rope_parameters for all layers"),
    (
        "gemma3",
        {
            "rope_theta": None, "rope_local_base_freq": None,
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 5.0},
                "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5.0},
            },
        },
        "sliding_attention that transformers",
    ),
    ("neox", {"rope_theta": 7.0}, "rope_theta 7.0, of which transformers .* makes 10000"),
    ("llama", {"attention_multiplier": 0.5}, "attention_multiplier 0.5, which transformers .* does not know for llama"),
    ("llama", {"rope_interleaved": True}, "rope_interleaved true"),
    ("llama", {"sliding_window": 4}, "sliding_window 4"),
    ("llama", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping 50.0"),
    ("llama", {"num_local_experts": 8}, "num_local_experts 8"),
    ("llama", {"position_embedding_type": "alibi"}, "position_embedding_type"),
    ("llama", {"is_causal": False}, "is_causal false"),
    ("llama", {"qqk": 3}, "qqk 3.*delete it from the file"),
    ("llama", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
    ("mistral", {"layer_types": ["sliding_attention", "full_attention"]}, "layer_types"),
    ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma", {"hidden_act": "gelu", "hidden_activation": "relu"}, "hidden_activation relu and hidden_act gelu"),
    ("llama", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantized \(gptq\)"),
    ("llama", {"quantization": {"group_size": 64, "bits": 4}}, "quantized"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "fields", "said"), REFUSED, ids=[said[:40] for _, _, said in REFUSED])
def test_what_would_be_dropped_is_refused_by_name(
    tiny_bases: dict[str, Path], family: str, fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bases[family], tmp_path / "model")
    kept = () if "rope_theta" in fields else ("rope_theta",) if "rope_parameters" in fields else ()
    with pytest.raises(ModelUnavailable, match=rf"config\.json says .*{said}"):
        load_base(spec(edited(folder, *kept, **fields)))


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"wandb_run": "run-17", "train_seed": 3, "trained_on": "tiny corpus", "epochs": 4}),
    ("llama", {"neftune_noise_alpha": 5.0, "resid_pdrop": 0.1, "initializer_cutoff_factor": 3.0}),
    ("llama", {"use_sliding_window": False, "sliding_window": 4, "max_window_layers": 1}),
    ("llama", {"attn_logit_softcapping": None, "use_qk_norm": False, "num_experts": 0, "expert_layers": []}),
    ("llama", {"layer_types": ["full_attention", "full_attention"], "partial_rotary_factor": 1.0}),
    ("llama", {"rope_scaling": {"rope_type": "default"}, "original_max_position_embeddings": 16}),
    ("llama", {"output_attentions": True, "return_dict": False, "torchscript": True, "_attn_implementation": "flex"}),
    ("mistral", {"layer_types": ["sliding_attention", "sliding_attention"]}),
    ("gemma3", {"_sliding_window_pattern": 6, "hidden_act": "gelu_pytorch_tanh"}),
]


@pytest.mark.parametrize(("family", "fields"), ACCEPTED, ids=[next(iter(fields)) for _, fields in ACCEPTED])
def test_what_changes_nothing_is_no_reason_to_refuse(
    tiny_bases: dict[str, Path], family: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_bases[family], tmp_path / "model")
    before = answers(folder)
    assert torch.equal(answers(edited(folder, **fields)), before)


def test_a_pattern_of_windows_counts_where_no_layer_types_are(tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    folder = edited(shutil.copytree(tiny_bases["gemma3"], tmp_path / "model"), "layer_types", _sliding_window_pattern=2)
    assert model_config(folder).config.layer_types == ["sliding_attention", "full_attention"]


def test_a_length_beside_the_rope_settings_counts_in_them(tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_bases["llama"], tmp_path / "model")
    edited(folder, rope_scaling={"type": "yarn", "factor": 4.0}, original_max_position_embeddings=16)
    scaling = model_config(folder).config.rope_scaling
    assert scaling == {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}


def test_a_model_that_became_another_while_it_was_built_is_refused(tiny_bases: dict[str, Path]) -> None:
    read = model_config(tiny_bases["llama"])
    changed = LlamaConfig.from_dict(read.config.to_dict())
    changed.rms_norm_eps = 0.5
    with pytest.raises(ModelUnavailable, match=r"rms_norm_eps 1e-06, of which transformers .* makes 0.5"):
        read.check(changed)


@pytest.mark.parametrize("text", ["[1]", "nonsense", '{"model_type": 7}', '{"model_type": ["llama"]}', "null"])
def test_what_is_no_configuration_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises((Damaged, ModelUnavailable), match=r"not a model's configuration|not a causal language model"):
        model_config(tmp_path)


def test_values_that_no_class_takes_are_damage(tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_bases["neox"], tmp_path / "model")
    with pytest.raises(Damaged, match=r"config\.json is damaged: transformers .* takes it for no gpt_neox model"):
        model_config(edited(folder, hidden_size=33))
