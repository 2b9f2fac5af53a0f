"""What is known of an architecture, a row a family: where the parts of a layer are and how they follow each other.

Attribution graphs, component circuits and the training methods that ask for certain matrices read this one table.
Plain training (LoRA, new tokens, all weights) and probes need no row: any causal language model will do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from transformers import PretrainedConfig, PreTrainedModel

from engine.domain.errors import ModelUnavailable
from engine.domain.model_families import FAMILY_TITLES, UNSUPPORTED, lacking

# What a norm does: divide by the root mean square and multiply by its weight, or by 1 + its weight; or subtract the
# mean first (LayerNorm).
NormKind = Literal["rms", "rms_plus_one", "layer"]
# How one matrix holds queries, keys and values: of the first head, then of the next; or all of each kind in turn.
Fused = Literal["no", "by_head", "by_kind"]


@dataclass(frozen=True)
class Family:
    """Names are those of modules, from the model or from one of its layers; "" where there is none."""

    title: str = ""
    gguf: str = ""  # what GGUF files call it, of which transformers reads such files
    implementation: str | None = "sdpa"  # of attention, as transformers names it, outside of tracing
    # from the model
    layers: str = "model.layers"
    final_norm: str = "model.norm"
    positions: str = ""  # its output is added to the embeddings of the tokens
    # from a layer
    attention: str = "self_attn"
    projections: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")  # or one that is fused
    output: str = "self_attn.o_proj"  # the projection that leaves the heads; its input is all heads' z side by side
    mlp_reads: str = "mlp"  # the module whose input is what the MLP reads
    mlp_first: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    mlp_last: str = "mlp.down_proj"
    mlp_writes: str = "mlp"  # the module whose output is what the MLP writes
    before_attention: str = "input_layernorm"  # norms
    after_attention: str = ""
    before_mlp: str = "post_attention_layernorm"
    after_mlp: str = ""
    # how they work
    norm: NormKind = "rms"
    fused: Fused = "no"
    joint_qk_norm: bool = False  # one norm takes the queries of all heads together, another the keys
    whole_final: bool = False  # what leaves the final norm must have all positions
    flat_mlp: bool = False  # the MLP sees the positions of all prompts on one axis
    parallel: Callable[[PretrainedConfig], bool] = lambda config: False  # attention and MLP read the same stream
    # circuit-tracer's names of where transcoders of ours read and write
    reads: str = "mlp.hook_in"
    writes: str = "mlp.hook_out"


_LLAMA = Family()
_GPT = Family(
    layers="transformer.h",
    final_norm="transformer.ln_f",
    positions="transformer.wpe",
    attention="attn",
    projections=("attn.c_attn",),
    output="attn.c_proj",
    mlp_first=("mlp.c_fc",),
    mlp_last="mlp.c_proj",
    before_attention="ln_1",
    before_mlp="ln_2",
    norm="layer",
    fused="by_kind",
    whole_final=True,
)
_OLMO_2 = Family(  # its norms stand behind attention and MLP
    before_attention="",
    after_attention="post_attention_layernorm",
    before_mlp="",
    after_mlp="post_feedforward_layernorm",
    joint_qk_norm=True,
    writes="hook_mlp_out",
)


# model_type in config.json -> its row
_ROWS: dict[str, Family] = {
    "llama": replace(_LLAMA, gguf="llama"),
    "mistral": _LLAMA,  # whose GGUF files say llama
    "olmo": replace(_LLAMA, norm="layer"),
    "qwen2": replace(_LLAMA, gguf="qwen2"),
    "qwen3": replace(_LLAMA, gguf="qwen3"),
    "smollm3": _LLAMA,
    "ministral": _LLAMA,
    "ernie4_5": _LLAMA,
    "seed_oss": _LLAMA,
    "helium": _LLAMA,
    "arcee": replace(_LLAMA, mlp_first=("mlp.up_proj",)),
    "starcoder2": replace(_LLAMA, mlp_first=("mlp.c_fc",), mlp_last="mlp.c_proj", norm="layer"),
    "glm": replace(_LLAMA, mlp_first=("mlp.gate_up_proj",)),
    "glm4": replace(
        _LLAMA,
        mlp_first=("mlp.gate_up_proj",),
        after_attention="post_self_attn_layernorm",
        after_mlp="post_mlp_layernorm",
        writes="hook_mlp_out",
    ),
    "phi3": replace(
        _LLAMA,
        gguf="phi3",
        projections=("self_attn.qkv_proj",),
        mlp_first=("mlp.gate_up_proj",),
        fused="by_kind",
    ),
    "olmo2": _OLMO_2,
    "olmo3": _OLMO_2,
    "exaone4": replace(_OLMO_2, joint_qk_norm=False),
    "gemma": Family(norm="rms_plus_one"),
    # Gemma 2 caps its attention scores, which only `eager` computes.
    "gemma2": Family(
        gguf="gemma2",
        implementation="eager",
        after_attention="post_attention_layernorm",
        before_mlp="pre_feedforward_layernorm",
        after_mlp="post_feedforward_layernorm",
        norm="rms_plus_one",
        reads="ln2.hook_normalized",
        writes="hook_mlp_out",
    ),
    "gemma3_text": Family(
        gguf="gemma3",
        after_attention="post_attention_layernorm",
        before_mlp="pre_feedforward_layernorm",
        after_mlp="post_feedforward_layernorm",
        norm="rms_plus_one",
        writes="hook_mlp_out",
    ),
    "gpt2": replace(_GPT, gguf="gpt2"),
    "gpt_neo": replace(
        _GPT,
        implementation="eager",
        attention="attn.attention",
        projections=("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
        output="attn.attention.out_proj",
        fused="no",
    ),
    "gpt_neox": Family(
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        attention="attention",
        projections=("attention.query_key_value",),
        output="attention.dense",
        mlp_first=("mlp.dense_h_to_4h",),
        mlp_last="mlp.dense_4h_to_h",
        norm="layer",
        fused="by_head",
        parallel=lambda config: bool(config.use_parallel_residual),
    ),
    "opt": Family(
        layers="model.decoder.layers",
        final_norm="model.decoder.final_layer_norm",
        positions="model.decoder.embed_positions",
        output="self_attn.out_proj",
        mlp_reads="fc1",
        mlp_first=("fc1",),
        mlp_last="fc2",
        mlp_writes="fc2",
        before_attention="self_attn_layer_norm",
        before_mlp="final_layer_norm",
        norm="layer",
        flat_mlp=True,
    ),
}
FAMILIES: dict[str, Family] = {kind: replace(row, title=FAMILY_TITLES[kind]) for kind, row in _ROWS.items()}


def attention_of(config: PretrainedConfig) -> str | None:
    """How transformers is to compute attention outside of tracing; None of a family without a row: as it likes."""
    if config.model_type == "gpt2" and (config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights):
        return "eager"  # the others scale as GPT-2 itself does, whatever these say
    family = FAMILIES.get(config.model_type)
    return family.implementation if family else None


def family_of(model: PreTrainedModel) -> Family:
    """The model's row. Raises ModelUnavailable where there is none, or none for this configuration."""
    return family_of_config(model.config)


def family_of_config(config: PretrainedConfig) -> Family:
    """As `family_of`, from the configuration alone."""
    kind = config.model_type
    if kind not in FAMILIES:
        why = f": {UNSUPPORTED[kind]}" if kind in UNSUPPORTED else ""
        known = ", ".join(f"{family.title} ({key})" for key, family in FAMILIES.items())
        raise ModelUnavailable(
            f"Circuits of “{kind}” models cannot be found, as this family is not supported{why}. Training and probes "
            f"work. For circuits, use a model of one of these families: {known}."
        )
    family = FAMILIES[kind]
    if why := lacking(kind, vars(config)):
        raise ModelUnavailable(
            f"Circuits of this {family.title} model cannot be found: {why}. Use another model of the family."
        )
    return family
