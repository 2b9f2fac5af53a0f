"""From a Hugging Face model to TransformerLens: configuration and weights, without a network.

TransformerLens knows published models by name; a folder on disk has only its config. One row a family says which of
TransformerLens' own weight conversions to use and where a transcoder of ours reads and writes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import (
    convert_gemma_weights,
    convert_llama_weights,
    convert_qwen3_weights,
)
from transformers import PretrainedConfig, PreTrainedModel

from engine.domain.errors import ModelUnavailable

# Masks and rotary tables are made for so many positions at once; TransformerLens extends them for longer prompts.
_POSITIONS = 1024


@dataclass(frozen=True)
class Lens:
    """How one architecture is traced. `reads` and `writes` are circuit-tracer's hook names within a block."""

    architecture: str
    convert: Callable[[PreTrainedModel, HookedTransformerConfig], dict[str, torch.Tensor]]
    reads: str = "mlp.hook_in"
    writes: str = "mlp.hook_out"


# Gemma 2 normalises the MLP's output again before it is added to the residual stream: a transcoder replaces both.
LENSES = {
    "llama": Lens("LlamaForCausalLM", convert_llama_weights),
    "qwen3": Lens("Qwen3ForCausalLM", convert_qwen3_weights),
    "gemma2": Lens("Gemma2ForCausalLM", convert_gemma_weights, "ln2.hook_normalized", "hook_mlp_out"),
}


def lens_of(model: PreTrainedModel) -> Lens:
    """Raises ModelUnavailable for an architecture that cannot be traced."""
    kind = model.config.model_type
    if kind not in LENSES:
        raise ModelUnavailable(
            f"Attribution graphs of “{kind}” models cannot be traced. These can: {', '.join(sorted(LENSES))}. "
            "Choose a model of one of these families."
        )
    return LENSES[kind]


def lens_config(model: PreTrainedModel) -> HookedTransformerConfig:
    """The TransformerLens configuration of a Llama, Qwen 3 or Gemma 2. Raises ModelUnavailable."""
    config, lens = model.config, lens_of(model)
    for name in ("attention_bias", "mlp_bias"):
        if getattr(config, name, False):
            raise ModelUnavailable(f"This model has {name} = True, which TransformerLens cannot convert.")
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    grouped = config.num_key_value_heads != config.num_attention_heads or config.model_type == "gemma2"
    return HookedTransformerConfig(
        model_name=config.model_type,
        original_architecture=lens.architecture,
        tokenizer_name=config.name_or_path,
        device=str(model.device),
        dtype=model.dtype,
        init_weights=False,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_heads=config.num_attention_heads,
        n_key_value_heads=config.num_key_value_heads if grouped else None,
        d_head=d_head,
        d_mlp=config.intermediate_size,
        d_vocab=config.vocab_size,
        n_ctx=min(config.max_position_embeddings, _POSITIONS),
        eps=config.rms_norm_eps,
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        act_fn=getattr(config, "hidden_activation", None) or config.hidden_act,
        positional_embedding_type="rotary",
        rotary_dim=d_head,
        rotary_base=config.rope_theta,
        use_qk_norm=config.model_type == "qwen3",
        **_rope_scaling(config),
        **_local_attention(config),
        **_gemma2(config),
    )


def _rope_scaling(config: PretrainedConfig) -> dict[str, Any]:
    scaling = getattr(config, "rope_scaling", None) or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return {}
    if kind == "linear":
        return {"rotary_scaling_factor": scaling["factor"]}
    if kind == "llama3":
        return {
            "use_NTK_by_parts_rope": True,
            "NTK_by_parts_factor": scaling["factor"],
            "NTK_by_parts_low_freq_factor": scaling["low_freq_factor"],
            "NTK_by_parts_high_freq_factor": scaling["high_freq_factor"],
            "NTK_original_ctx_len": scaling["original_max_position_embeddings"],
        }
    raise ModelUnavailable(f"Rotary scaling “{kind}” cannot be traced. Allowed: default, linear, llama3.")


def _local_attention(config: PretrainedConfig) -> dict[str, Any]:
    # The order comes from the model's own config: TransformerLens' table for Gemma 2 has local and global exchanged.
    kinds = getattr(config, "layer_types", None) or []
    if "sliding_attention" not in kinds:
        return {}
    types = ["local" if kind == "sliding_attention" else "global" for kind in kinds]
    return {"use_local_attn": True, "attn_types": types, "window_size": config.sliding_window}


def _gemma2(config: PretrainedConfig) -> dict[str, Any]:
    if config.model_type != "gemma2":
        return {}
    return {
        "use_normalization_before_and_after": True,
        "attn_scale": config.query_pre_attn_scalar**0.5,
        "attn_scores_soft_cap": config.attn_logit_softcapping or -1.0,
        "output_logits_soft_cap": config.final_logit_softcapping or -1.0,
    }


def lens_weights(model: PreTrainedModel, config: HookedTransformerConfig) -> dict[str, torch.Tensor]:
    """The model's weights under TransformerLens' names; many are views of the model's own tensors."""
    with torch.no_grad():
        return lens_of(model).convert(model, config)
