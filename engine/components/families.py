"""Where the parts of a layer are, a row a family."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from engine.domain.errors import ModelUnavailable


@dataclass(frozen=True)
class ModuleNames:
    """Names of modules: from the model, or within a layer."""

    layers: str
    final_norm: str
    attention: str
    projections: tuple[str, ...]  # q, k, v; or one that gives q, k and v of the first head, then of the next
    output: str  # the projection that leaves the heads; its input is all heads' z side by side
    before_attention: str  # norms
    before_mlp: str
    mlp: str  # the module whose output is added to the stream
    after_attention: str = ""  # a norm of the attention's output
    weight_offset: float = 0.0  # a norm multiplies by this plus its weight
    parallel: Callable[[PretrainedConfig], bool] = lambda config: False


_LLAMA = ModuleNames(
    layers="model.layers",
    final_norm="model.norm",
    attention="self_attn",
    projections=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    output="self_attn.o_proj",
    before_attention="input_layernorm",
    before_mlp="post_attention_layernorm",
    mlp="mlp",
)

# model_type in config.json -> where its parts are
FAMILIES: dict[str, ModuleNames] = {
    "llama": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": ModuleNames(
        layers="model.layers",
        final_norm="model.norm",
        attention="self_attn",
        projections=_LLAMA.projections,
        output="self_attn.o_proj",
        before_attention="input_layernorm",
        before_mlp="pre_feedforward_layernorm",
        mlp="post_feedforward_layernorm",
        after_attention="post_attention_layernorm",
        weight_offset=1.0,
    ),
    "gpt_neox": ModuleNames(
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        attention="attention",
        projections=("attention.query_key_value",),
        output="attention.dense",
        before_attention="input_layernorm",
        before_mlp="post_attention_layernorm",
        mlp="mlp",
        parallel=lambda config: bool(config.use_parallel_residual),
    ),
}


@dataclass(frozen=True)
class Layer:
    """The modules of one layer, as `ModuleNames` names them."""

    attention: nn.Module
    projections: tuple[nn.Linear, ...]
    output: nn.Linear
    before_attention: nn.Module
    before_mlp: nn.Module
    mlp: nn.Module
    after_attention: nn.Module | None


def family_of(model: PreTrainedModel) -> ModuleNames:
    """Raises ModelUnavailable for one that is not known here."""
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise ModelUnavailable(
            f"Component circuits cannot be found in a “{kind}” model: this family is not supported. "
            f"Use a model of one of these families: {', '.join(FAMILIES)}."
        )
    return FAMILIES[kind]


def layers_of(model: PreTrainedModel, family: ModuleNames) -> tuple[Layer, ...]:
    """Raises ModelUnavailable where the output of a head cannot be told from a bias."""
    layers = tuple(_layer(module, family) for module in attrgetter(family.layers)(model))
    if any(layer.after_attention is not None and layer.output.bias is not None for layer in layers):
        raise ModelUnavailable(
            "Component circuits cannot be found in this model: the bias of its attention output passes a norm, so that "
            "the heads' outputs do not add up. Take a model without that bias."
        )
    return layers


def _layer(module: nn.Module, family: ModuleNames) -> Layer:
    def part(name: str) -> nn.Module:
        found: nn.Module = attrgetter(name)(module)
        return found

    return Layer(
        attention=part(family.attention),
        projections=tuple(part(name) for name in family.projections),  # type: ignore[misc]
        output=part(family.output),  # type: ignore[arg-type]
        before_attention=part(family.before_attention),
        before_mlp=part(family.before_mlp),
        mlp=part(family.mlp),
        after_attention=part(family.after_attention) if family.after_attention else None,
    )
