"""One forward pass of a prompt, and what of it is held while effects are followed back: patterns and norm denominators.

Everything here is float32, one prompt, positions on the first axis.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from engine.models.parts import Layer, Norm
from engine.models.replacement import ReplacementModel


@dataclass(eq=False)
class Scales:
    """1 / s of a layer's norms, each (n_pos, 1); None where there is no such norm."""

    before_attention: torch.Tensor | None = None
    after_attention: torch.Tensor | None = None
    before_mlp: torch.Tensor | None = None
    after_mlp: torch.Tensor | None = None


@dataclass(eq=False)
class Recorded:
    """Lists have an entry a layer."""

    embedded: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (n_pos, d_model), of the tokens alone
    scales: list[Scales] = field(default_factory=list)
    final_scale: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (n_pos, 1)
    patterns: list[torch.Tensor] = field(default_factory=list)  # (n_heads, n_pos, n_pos): to, from
    # (n_layers, n_pos, d_model): what transcoders read, and what they stand for
    reads: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    writes: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (n_vocab,) at the last position
    raw_logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # the same before any soft cap


def record(model: ReplacementModel, tokens: torch.Tensor) -> Recorded:
    """Of tokens (n_pos,)."""
    parts, found = model.parts, Recorded()
    reads: list[torch.Tensor] = []
    writes: list[torch.Tensor] = []
    with ExitStack() as hooks:

        def put(handle: Any) -> None:
            hooks.callback(handle.remove)

        put(parts.layers[0].module.register_forward_pre_hook(_entering(found)))
        if parts.positions is not None:
            put(parts.model.get_input_embeddings().register_forward_hook(_embedding(found)))
        for layer in parts.layers:
            found.scales.append(Scales())
            for norm, name in _norms(layer):
                put(norm.module.register_forward_pre_hook(_scale(norm, found.scales[-1], name)))
            # Attention is asked for its patterns here, not by the model's own switch, which keeps them twice.
            put(layer.attention.register_forward_pre_hook(asking_for_pattern, with_kwargs=True))
            put(layer.attention.register_forward_hook(_pattern(found)))
        put(parts.final_norm.module.register_forward_pre_hook(_scale(parts.final_norm, found, "final_scale")))
        layers = range(model.n_layers)
        found.logits, found.raw_logits = model.logits(
            tokens,
            dict.fromkeys(layers, lambda x: reads.append(x[0])),
            dict.fromkeys(layers, lambda x: writes.append(x[0].clone())),
        )
    found.reads, found.writes = torch.stack(reads), torch.stack(writes)
    return found


def _norms(layer: Layer) -> list[tuple[Norm, str]]:
    names = ("before_attention", "after_attention", "before_mlp", "after_mlp")
    return [(norm, name) for name in names if (norm := getattr(layer, name)) is not None]


def _scale(norm: Norm, place: object, name: str) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
        scale = norm.scale(args[0].reshape(-1, args[0].shape[-1]))
        setattr(place, name, scale.reciprocal())

    return hook


def asking_for_pattern(
    _: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, named | {"output_attentions": True}


def _pattern(found: Recorded) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        found.patterns.append(output[1][0].float())

    return hook


def _entering(found: Recorded) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
        if not found.embedded.numel():
            found.embedded = args[0][0].float()

    return hook


def _embedding(found: Recorded) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        found.embedded = output[0].float()

    return hook
