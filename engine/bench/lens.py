"""circuit-tracer's replacement model on its TransformerLens backend, of the demo's Llama: what tracing is measured by.

TransformerLens knows published models by name; here its configuration is written out. The only place in the app that
knows TransformerLens.
"""

import copy
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformer_lens import HookedTransformerConfig
    from transformers import PreTrainedModel


def lens_llama(model: "PreTrainedModel", transcoders: Any, tokenizer: Any) -> Any:
    """What circuit-tracer's `attribute` takes, with the model's weights as they are."""
    import torch
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    config = model.config
    made = HookedTransformerConfig(
        model_name=config.model_type,
        original_architecture="LlamaForCausalLM",
        device="cpu",
        dtype=model.dtype,
        init_weights=False,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_heads=config.num_attention_heads,
        n_key_value_heads=config.num_key_value_heads,
        d_head=config.head_dim,
        d_mlp=config.intermediate_size,
        d_vocab=config.vocab_size,
        n_ctx=config.max_position_embeddings,
        eps=config.rms_norm_eps,
        normalization_type="RMS",
        final_rms=True,
        gated_mlp=True,
        act_fn=config.hidden_act,
        positional_embedding_type="rotary",
        rotary_dim=config.head_dim,
        rotary_base=config.rope_theta,
    )
    with torch.no_grad():
        weights = convert_llama_weights(model, made)
    return lens_replacement(made, weights, transcoders, tokenizer)


def lens_replacement(config: "HookedTransformerConfig", weights: Any, transcoders: Any, tokenizer: Any) -> Any:
    """circuit-tracer's model of this configuration. The weights stay as they are: nothing is folded or centred."""
    from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel

    class Model(TransformerLensReplacementModel):
        # At interpreter exit torch is half gone and the parent's clean-up prints an ignored exception.
        def __del__(self, exiting: Callable[[], bool] = sys.is_finalizing) -> None:
            if not exiting():
                super().__del__()

    found = Model(config)
    found.load_state_dict(weights, strict=False)
    # TransformerLens masks by its tokenizer's padding only where it pads on the left; a prompt has no padding, but one
    # that begins with the padding token (a model without BOS) would lose its first position.
    found.tokenizer = copy.copy(tokenizer)
    found.tokenizer.padding_side = "right"
    found._configure_replacement_model(transcoders)
    return found.eval()
