"""A tiny random model of every row of the table of families, and of variants that go other ways through it."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    ArceeConfig,
    AutoModelForCausalLM,
    Ernie4_5Config,
    Exaone4Config,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    Glm4Config,
    GlmConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    HeliumConfig,
    LlamaConfig,
    MinistralConfig,
    MistralConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoConfig,
    OPTConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    SeedOssConfig,
    SmolLM3Config,
    Starcoder2Config,
)

from engine.domain.models import ModelSpec
from engine.models.base import LoadedModel
from engine.models.families import FAMILIES, attention_of
from tests.tiny import tiny_tokenizer

SHAPE = {
    "vocab_size": len(tiny_tokenizer()),
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.25,
}
_GATED = SHAPE | {"intermediate_size": 40}
_GROUPED = _GATED | {"num_key_value_heads": 2, "head_dim": 8}
_WINDOWS: dict[str, Any] = {
    "sliding_window": 3,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
_OLD_GEMMA = _GROUPED | {"hidden_activation": "gelu_pytorch_tanh"}
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**_GROUPED),
    "mistral": MistralConfig(**_GROUPED, sliding_window=3),
    "olmo": OlmoConfig(**_GATED, num_key_value_heads=2),
    "qwen2": Qwen2Config(**_GATED, num_key_value_heads=2),
    "qwen3": Qwen3Config(**_GROUPED),
    "smollm3": SmolLM3Config(**_GATED, num_key_value_heads=2, no_rope_layers=[1, 0, 1]),
    "ministral": MinistralConfig(**_GROUPED, **_WINDOWS),
    "ernie4_5": Ernie4_5Config(**_GROUPED, use_bias=True),
    "seed_oss": SeedOssConfig(**_GROUPED),
    "helium": HeliumConfig(**_GATED, num_key_value_heads=2, head_dim=6),
    "arcee": ArceeConfig(**_GROUPED),
    "starcoder2": Starcoder2Config(**_GATED, num_key_value_heads=2, sliding_window=3),
    "glm": GlmConfig(**_GROUPED, partial_rotary_factor=0.5, attention_bias=True),
    "glm4": Glm4Config(**_GROUPED, partial_rotary_factor=0.5),
    "phi3": Phi3Config(**_GATED, num_key_value_heads=2),
    "olmo2": Olmo2Config(**_GATED, num_key_value_heads=4),
    "olmo3": Olmo3Config(**_GATED, num_key_value_heads=4, **_WINDOWS),
    "exaone4": Exaone4Config(**_GROUPED, **_WINDOWS),
    "gemma": GemmaConfig(**_OLD_GEMMA),
    "gemma2": Gemma2Config(**_GROUPED, sliding_window=3, query_pre_attn_scalar=8),
    "gemma3_text": Gemma3TextConfig(
        **_GROUPED, **_WINDOWS, query_pre_attn_scalar=8,
        rope_theta=10_000,  # as in sliding layers: circuit-tracer gives all layers one table of angles
    ),
    "gpt2": GPT2Config(**SHAPE),
    "gpt_neo": GPTNeoConfig(
        **SHAPE, num_layers=3, num_heads=4, attention_types=[[["global", "local", "global"], 1]], window_size=3,
    ),
    "gpt_neox": GPTNeoXConfig(**_GATED, rotary_pct=0.67, use_parallel_residual=True),
    "opt": OPTConfig(**SHAPE, ffn_dim=40, init_std=0.25, word_embed_proj_dim=24, do_layer_norm_before=True),
}  # fmt: skip
VARIANTS: dict[str, PretrainedConfig] = {
    "llama_with_biases": LlamaConfig(**_GROUPED, attention_bias=True, mlp_bias=True),
    "gpt_neox_in_turn": GPTNeoXConfig(**_GATED, rotary_pct=0.67, use_parallel_residual=False),
    "opt_without_biases": OPTConfig(**SHAPE, ffn_dim=40, init_std=0.25, word_embed_proj_dim=24, enable_bias=False),
}
assert set(CONFIGS) == set(FAMILIES)


def made(config: PretrainedConfig, *, seed: int = 0) -> PreTrainedModel:
    """In eval mode, without gradients, with norms and biases that are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention_of(config))
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval().requires_grad_(requires_grad=False)


def loaded_family(name: str) -> LoadedModel:
    """As `load_base` would load it, but from no folder."""
    config = (CONFIGS | VARIANTS)[name]
    return LoadedModel(
        spec=ModelSpec(name=f"tiny-{name}", source="folder", location="nowhere"),
        folder=Path("nowhere"),
        model=made(config),
        tokenizer=tiny_tokenizer(),
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_positions=config.max_position_embeddings,
        n_vocab=config.vocab_size,
        family=config.model_type,
    )
