"""What the nodes of a model give and get in one forward pass."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from engine.components.model import ComponentModel

Hook = Callable[..., Any]


@dataclass(eq=False)
class Tape:
    """A layer an entry. `heads`, `mlps`, `embedded` and `streams` are detached; the others are in the graph."""

    embedded: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (n, n_pos, d_model), enters layer 0
    heads: list[torch.Tensor] = field(default_factory=list)  # (n, n_pos, n_heads d_head) z, divided by a later norm's s
    mlps: list[torch.Tensor] = field(default_factory=list)  # (n, n_pos, d_model) what is added to the stream
    streams: list[torch.Tensor] = field(default_factory=list)  # (n, n_pos, d_model) before the attention's norm
    projected: list[tuple[torch.Tensor, ...]] = field(default_factory=list)  # with a k and v for each query head
    mlp_inputs: list[torch.Tensor] = field(default_factory=list)  # (n, n_pos, d_model) before the MLP's norm
    final: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (n, n_pos, d_model) before the last norm

    def gradients(self, metric: torch.Tensor) -> "Gradients":
        """Of a scalar, at every input of every node; nothing is left in any `.grad`."""
        inputs = [tensor for outputs in self.projected for tensor in outputs]
        found = list(torch.autograd.grad(metric, [*inputs, *self.mlp_inputs, self.final]))
        width = len(self.projected[0])
        heads = [tuple(found[start : start + width]) for start in range(0, len(inputs), width)]
        return Gradients(heads, found[len(inputs) :])


@dataclass(frozen=True, eq=False)
class Gradients:
    """`heads`: as `Tape.projected`. `streams`: at the MLPs' inputs and, last, at the logits', before the norms."""

    heads: list[tuple[torch.Tensor, ...]]
    streams: list[torch.Tensor]


@contextmanager
def taped(
    model: ComponentModel, *, start: torch.Tensor | None = None, last: torch.Tensor | None = None
) -> Iterator[Tape]:
    """Hooks that fill the tape in the forward pass inside.

    start: (n, n_pos, d_model) enters layer 0 in place of the embeddings. last: (n,) the only position whose logits are
    read: then the last layer's output projection, its MLP and the logits are computed there alone, and
    `mlp_inputs[-1]`, `mlps[-1]` and `final` have one position. What the last layer writes elsewhere is wrong then, and
    nobody reads it.
    """
    tape = Tape()
    with ExitStack() as hooks:

        def put(handle: Any) -> None:
            hooks.callback(handle.remove)

        put(model.first.register_forward_pre_hook(_entering(tape, start)))
        for number, layer in enumerate(model.layers):
            where = last if number == len(model.layers) - 1 else None
            put(layer.before_attention.register_forward_pre_hook(_reading_stream(tape)))
            tape.projected.append(())
            for which, projection in enumerate(layer.projections):
                put(projection.register_forward_hook(_reading_projection(tape, model, number, which)))
            put(layer.output.register_forward_pre_hook(_reading_heads(tape, where)))
            if layer.after_attention is not None:
                put(layer.after_attention.register_forward_pre_hook(_reading_scale(tape, model)))
            put(layer.before_mlp.register_forward_pre_hook(_reading_input(tape.mlp_inputs.append, where)))
            put(layer.mlp.register_forward_hook(_reading_mlp(tape)))
        put(model.final_norm.register_forward_pre_hook(_reading_input(lambda x: setattr(tape, "final", x), last)))
        yield tape


def at(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """(n, 1, …) of (n, n_pos, …): each row at its own position."""
    return x[torch.arange(len(x), device=x.device), positions][:, None]


def _entering(tape: Tape, start: torch.Tensor | None) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        entering = args[0] if start is None else start
        tape.embedded = entering.detach()
        # No weight has a gradient here, so the graph begins with this tensor.
        return (entering.detach().requires_grad_(torch.is_grad_enabled()), *args[1:])

    return hook


def _reading_stream(tape: Tape) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
        tape.streams.append(args[0].detach())

    return hook


def _reading_projection(tape: Tape, model: ComponentModel, number: int, which: int) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        output = model.per_head(which, output)
        tape.projected[number] += (output,)
        return output

    return hook


def _reading_heads(tape: Tape, last: torch.Tensor | None) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[torch.Tensor] | None:
        tape.heads.append(args[0].detach())
        return None if last is None else (at(args[0], last),)

    return hook


def _reading_scale(tape: Tape, model: ComponentModel) -> Hook:
    def hook(norm: nn.Module, args: tuple[Any, ...]) -> None:
        _, scale = model.standardised(norm, args[0].detach())
        tape.heads[-1] = tape.heads[-1] / scale

    return hook


def _reading_input(keep: Callable[[torch.Tensor], None], last: torch.Tensor | None) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[torch.Tensor]:
        # A tensor of its own: the gradient there is that of this reader alone, not of the stream that runs on.
        own = args[0].view_as(args[0]) if last is None else at(args[0], last)
        keep(own)
        return (own,)

    return hook


def _reading_mlp(tape: Tape) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        tape.mlps.append(output.detach())

    return hook
