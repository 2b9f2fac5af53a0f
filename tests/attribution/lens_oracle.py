"""circuit-tracer's own replacement model on its TransformerLens backend, for a Hugging Face model in memory.

TransformerLens knows published models by name; here its configuration is written out, a row a family, and its own
conversions of weights are used. Shares no code with what it checks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import (
    convert_gemma_weights,
    convert_gpt2_weights,
    convert_llama_weights,
    convert_mistral_weights,
    convert_neo_weights,
    convert_neox_weights,
    convert_opt_weights,
    convert_phi3_weights,
    convert_qwen2_weights,
    convert_qwen3_weights,
)
from transformers import PretrainedConfig, PreTrainedModel

from engine.bench.lens import lens_replacement


def _rotary(config: PretrainedConfig) -> dict[str, Any]:
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return {
        "eps": config.rms_norm_eps, "normalization_type": "RMS", "final_rms": True, "gated_mlp": True,
        "act_fn": getattr(config, "hidden_activation", None) or config.hidden_act,
        "positional_embedding_type": "rotary", "rotary_dim": d_head, "rotary_base": config.rope_theta,
        "n_key_value_heads": config.num_key_value_heads,
    }  # fmt: skip


def _norms_of_layers(config: PretrainedConfig) -> dict[str, Any]:
    return {
        "normalization_type": "LN", "act_fn": getattr(config, "activation_function", None) or config.hidden_act,
        "eps": getattr(config, "layer_norm_epsilon", None) or getattr(config, "layer_norm_eps", 1e-5),
    }  # fmt: skip


def _local(config: PretrainedConfig) -> dict[str, Any]:
    # TransformerLens' own table for Gemma 2 has local and global layers exchanged.
    kinds = getattr(config, "layer_types", None) or []
    if "sliding_attention" not in kinds:
        return {}
    types = ["local" if kind == "sliding_attention" else "global" for kind in kinds]
    return {"use_local_attn": True, "attn_types": types, "window_size": config.sliding_window}


def _mistral(config: PretrainedConfig) -> dict[str, Any]:
    local = {"use_local_attn": True, "attn_types": ["local"] * config.num_hidden_layers}
    return _rotary(config) | local | {"window_size": config.sliding_window}


def _gemma2(config: PretrainedConfig) -> dict[str, Any]:
    return _rotary(config) | _local(config) | {
        "use_normalization_before_and_after": True, "attn_scale": config.query_pre_attn_scalar**0.5,
        "attn_scores_soft_cap": config.attn_logit_softcapping or -1.0,
        "output_logits_soft_cap": config.final_logit_softcapping or -1.0,
    }  # fmt: skip


def _gemma3(config: PretrainedConfig) -> dict[str, Any]:
    return _rotary(config) | _local(config) | {
        "use_normalization_before_and_after": True, "attn_scale": config.query_pre_attn_scalar**0.5,
        "use_qk_norm": True, "rotary_base_local": config.rope_local_base_freq,
    }  # fmt: skip


def _neox(config: PretrainedConfig) -> dict[str, Any]:
    return _norms_of_layers(config) | {
        "positional_embedding_type": "rotary", "rotary_adjacent_pairs": False,
        "rotary_dim": int(config.rotary_pct * (config.hidden_size // config.num_attention_heads)),
        "parallel_attn_mlp": config.use_parallel_residual,
    }  # fmt: skip


def _neo(config: PretrainedConfig) -> dict[str, Any]:
    return _norms_of_layers(config) | {
        "use_attn_scale": False, "use_local_attn": True, "attn_types": config.attention_layers,
        "window_size": config.window_size,
    }  # fmt: skip


@dataclass(frozen=True)
class Lens:
    """How TransformerLens has one family."""

    convert: Callable[[PreTrainedModel, HookedTransformerConfig], dict[str, torch.Tensor]]
    fields: Callable[[PretrainedConfig], dict[str, Any]] = _rotary
    more: dict[str, Any] = field(default_factory=dict)


LENSES = {
    "llama": Lens(convert_llama_weights),
    "mistral": Lens(convert_mistral_weights, _mistral),
    "qwen2": Lens(convert_qwen2_weights),
    "qwen3": Lens(convert_qwen3_weights, more={"use_qk_norm": True}),
    "phi3": Lens(convert_phi3_weights),
    "gemma": Lens(convert_gemma_weights),
    "gemma2": Lens(convert_gemma_weights, _gemma2),
    "gemma3_text": Lens(convert_gemma_weights, _gemma3),
    "gpt2": Lens(convert_gpt2_weights, _norms_of_layers),
    "gpt_neo": Lens(convert_neo_weights, _neo),
    "gpt_neox": Lens(convert_neox_weights, _neox),
    "opt": Lens(convert_opt_weights, _norms_of_layers),
}


def lens_model(model: PreTrainedModel, transcoders: Any, tokenizer: Any) -> TransformerLensReplacementModel:
    """What circuit-tracer's `attribute` takes. The weights stay as they are: nothing is folded or centred."""
    config, lens = model.config, LENSES[model.config.model_type]
    d_mlp = getattr(config, "ffn_dim", None) or getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    made = HookedTransformerConfig(
        model_name=config.model_type,
        original_architecture=type(model).__name__,
        device="cpu",
        dtype=model.dtype,
        init_weights=False,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_heads=config.num_attention_heads,
        d_head=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        d_mlp=d_mlp,
        d_vocab=config.vocab_size,
        n_ctx=min(config.max_position_embeddings, 1024),
        **lens.fields(config) | lens.more,
    )
    with torch.no_grad():
        weights = lens.convert(model, made)
    found: TransformerLensReplacementModel = lens_replacement(made, weights, transcoders, tokenizer)
    return found
