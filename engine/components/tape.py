"""What the nodes of a model give and get in one forward pass."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from engine.components.model import ComponentModel
from engine.models.parts import Norm

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
    `mlp_inputs[-1]`, `mlps[-1]` and `final` have one position, in families that allow it. What the last layer writes
    elsewhere is wrong then, and nobody reads it.
    """
    tape = Tape()
    with ExitStack() as hooks:

        def put(handle: Any) -> None:
            hooks.callback(handle.remove)

        put(model.first.register_forward_pre_hook(_entering(tape, start)))
        for number, layer in enumerate(model.layers):
            where = last if number == len(model.layers) - 1 else None
            put(layer.module.register_forward_pre_hook(_reading_stream(tape)))
            tape.projected.append(())
            for which, projection in enumerate(layer.projections):
                put(projection.register_forward_hook(_reading_projection(tape, model, number, which)))
            put(layer.output.register_forward_pre_hook(_reading_heads(tape, where)))
            if layer.after_attention is not None:
                put(layer.after_attention.module.register_forward_pre_hook(_reading_scale(tape, layer.after_attention)))
            # What is laid flat is added to a stream that is: one position of it cannot be left alone.
            of_mlp = None if model.family.flat_mlp else where
            put(layer.mlp_entry.register_forward_pre_hook(_reading_input(tape, tape.mlp_inputs.append, of_mlp)))
            put(layer.mlp_exit.register_forward_hook(_reading_mlp(tape)))
        keep_final = partial(setattr, tape, "final")
        narrow = last is not None and not model.family.whole_final
        put(
            model.final_norm.module.register_forward_pre_hook(
                _reading_input(tape, keep_final, last if narrow else None)
            )
        )
        if last is not None and not narrow:
            put(model.unembedding.register_forward_pre_hook(letting_through(last)))
        yield tape


def at(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """(n, 1, …) of (n, n_pos, …): each row at its own position."""
    return x[torch.arange(len(x), device=x.device), positions][:, None]


def letting_through(positions: torch.Tensor) -> Hook:
    """A pre-hook: of each row (n, n_pos, …) only its own position."""
    return lambda _, args: (at(args[0], positions),)


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


def _reading_scale(tape: Tape, norm: Norm) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
        tape.heads[-1] = tape.heads[-1] / norm.scale(args[0].detach())

    return hook


def _reading_input(tape: Tape, keep: Callable[[torch.Tensor], None], last: torch.Tensor | None) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[torch.Tensor]:
        x = args[0]
        # A tensor of its own: the gradient there is that of this reader alone, not of the stream that runs on.
        own = x.view(len(tape.embedded), -1, x.shape[-1]) if last is None else at(x, last)
        keep(own)
        return (own.view(x.shape) if last is None else own,)

    return hook


def _reading_mlp(tape: Tape) -> Hook:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        tape.mlps.append(output.detach().reshape(len(tape.embedded), -1, output.shape[-1]))

    return hook
