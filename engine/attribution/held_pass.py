"""A pass with features set in which norms, attention and MLPs may be held, each by itself.

With all three held it computes what a graph predicts, forwards and by the model's own modules, where the prediction is
taken backwards and by explicit products. With less held, it tells what makes the two differ.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.attribution.recording import Scales, record
from engine.attribution.sources import sources_of
from engine.models.hook_points import Read, Write
from engine.models.parts import Layer, Norm
from engine.models.replacement import ReplacementModel

Value = tuple[int, int, int, float]  # layer, position, index and activation of a feature


@dataclass(frozen=True)
class HeldFixed:
    """What keeps the value of the untouched run, or answers as the graph says."""

    norms: bool = False  # their denominators
    attention: bool = False  # its patterns
    mlps: bool = False  # they change by their active features alone, and none of these wakes or sleeps


class HeldPass:
    """Of one prompt (n_pos,) in one checkpoint, whose transcoders read at the MLP's input or at the stream.

    Raises ValueError for such as read between a norm's division and its weight, where no norm can be held.
    """

    def __init__(self, model: ReplacementModel, tokens: torch.Tensor) -> None:
        if model.points.reads not in ("mlp.hook_in", "hook_resid_mid"):
            raise ValueError(f"What is read at {model.points.reads} cannot be held.")
        self._model, self._tokens = model, tokens
        self._inputs: dict[nn.Module, torch.Tensor] = {}
        self._outputs: dict[nn.Module, torch.Tensor] = {}
        with ExitStack() as hooks:
            for module in self._watched():
                hooks.callback(module.register_forward_hook(self._keep, with_kwargs=True).remove)
            self._recorded = record(model, tokens)
        self._sources = sources_of(model, self._recorded)

    @torch.no_grad()
    def logits(self, values: Sequence[Value], held: HeldFixed) -> torch.Tensor:
        """(n_vocab,) at the last position, before any soft cap."""
        with ExitStack() as hooks:
            if held.norms:
                hooks.enter_context(self._norms_held())
            if held.attention:
                hooks.enter_context(self._attention_held())
            if not held.mlps:
                return self._model.with_features(self._tokens, values)[1]
            return self._model.logits(self._tokens, *_Mlps(self._model, self._recorded, self._sources, values).hooks())[
                1
            ]

    def _watched(self) -> Iterator[nn.Module]:
        for layer in self._model.parts.layers:
            yield from (layer.attention, layer.output)
        yield from (norm.module for norm, _ in self._norms(scales=None))

    def _norms(self, scales: Sequence[Scales] | None) -> Iterator[tuple[Norm, torch.Tensor]]:
        """Every norm, with its recorded scale (n_pos, 1); without `scales` with an empty one."""
        nothing = torch.empty(0)
        for number, layer in enumerate(self._model.parts.layers):
            for name in ("before_attention", "after_attention", "before_mlp", "after_mlp"):
                if (norm := getattr(layer, name)) is not None:
                    yield norm, nothing if scales is None else getattr(scales[number], name)
        yield self._model.parts.final_norm, nothing if scales is None else self._recorded.final_scale

    def _keep(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        self._inputs[module] = _first(args, named)
        self._outputs[module] = output[0] if isinstance(output, tuple) else output

    @contextmanager
    def _norms_held(self) -> Iterator[None]:
        def holding(norm: Norm, scale: torch.Tensor) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
                change = norm.undivided((args[0] - self._inputs[module]).float()) * scale.view(*args[0].shape[:-1], 1)
                return self._outputs[module] + change.to(output.dtype)

            return hook

        with ExitStack() as hooks:
            for norm, scale in self._norms(self._recorded.scales):
                hooks.callback(norm.module.register_forward_hook(holding(norm, scale)).remove)
            yield

    @contextmanager
    def _attention_held(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for number, layer in enumerate(self._model.parts.layers):
                entering, leaving = self._attention_hooks(number, layer)
                hooks.callback(layer.attention.register_forward_pre_hook(entering, with_kwargs=True).remove)
                hooks.callback(layer.output.register_forward_pre_hook(leaving).remove)
            yield

    def _attention_hooks(self, number: int, layer: Layer) -> tuple[Any, Any]:
        parts, change = self._model.parts, torch.empty(0)
        matrix, patterns = parts.by_kind(number)[2].float(), self._recorded.patterns[number]

        def entering(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            nonlocal change
            values = ((_first(args, named) - self._inputs[module])[0].float() @ matrix.T).unflatten(
                1, (parts.n_kv_heads, -1)
            )
            change = torch.einsum("hts,shd->thd", patterns, values.repeat_interleave(parts.groups, 1)).flatten(1)

        def leaving(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            kept = self._inputs[module]
            return (kept + change.view_as(kept).to(kept.dtype), *args[1:])

        return entering, leaving


class _Mlps:
    """What MLPs write where only their active features answer."""

    def __init__(self, model: ReplacementModel, recorded: Any, sources: Any, values: Sequence[Value]) -> None:
        self._model, self._recorded, self._sources = model, recorded, sources
        self._set = {(layer, position, index): value for layer, position, index, value in values}
        self._added = torch.zeros_like(recorded.writes)  # (n_layers, n_pos, d_model)

    def hooks(self) -> tuple[dict[int, Read], dict[int, Write]]:
        layers = range(self._model.n_layers)
        return {n: self._reading(n) for n in layers}, {n: self._writing(n) for n in layers}

    def _reading(self, layer: int) -> Read:
        rows = (self._sources.active[:, 0] == layer).nonzero()[:, 0]
        _, positions, indices = self._sources.active[rows].unbind(1)
        activations, encoders = self._sources.activations[rows], self._sources.encoders[rows]

        def read(x: torch.Tensor) -> None:
            change = ((x[0] - self._recorded.reads[layer])[positions] * encoders).sum(1)
            for row, place in enumerate(zip(positions.tolist(), indices.tolist(), strict=True)):
                if (layer, *place) in self._set:
                    change[row] = self._set[layer, *place] - activations[row]
            written = self._model.decoders(layer, indices) * change[:, None, None]
            for behind in range(written.shape[1]):
                self._added[layer + behind].index_add_(0, positions, written[:, behind])

        return read

    def _writing(self, layer: int) -> Write:
        return lambda output: (self._recorded.writes[layer] + self._added[layer])[None].to(output.dtype)


def _first(args: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = args[0] if args else named["hidden_states"]
    return found
