"""Where transcoders read and write in a layer, by circuit-tracer's names, and hooks that reach those tensors.

A transcoder reads what its MLP reads (`mlp.hook_in`), the same before the norm's weight is multiplied in
(`ln2.hook_normalized`), or the stream before that norm (`hook_resid_mid`). It writes in place of the MLP's output
(`mlp.hook_out`) or of what is added to the stream, behind a norm where there is one (`hook_mlp_out`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from engine.domain.errors import InputError
from engine.models.parts import Norm, Parts

READS = ("mlp.hook_in", "ln2.hook_normalized", "hook_resid_mid")
WRITES = ("mlp.hook_out", "hook_mlp_out")
Read = Callable[[torch.Tensor], None]  # is given (n, n_pos, d_model)
Write = Callable[[torch.Tensor], torch.Tensor | None]  # may give back what is to be written instead


class ReadsAndWrites(Protocol):
    """A transcoder set, as far as its hook points go."""

    feature_input_hook: str
    feature_output_hook: str


@dataclass(frozen=True)
class HookPoints:
    """Those of one transcoder set in one model."""

    parts: Parts
    reads: str
    writes: str

    @classmethod
    def of(cls, parts: Parts, transcoders: ReadsAndWrites) -> "HookPoints":
        """Raises InputError for hook points that this model does not have."""
        points = cls(parts, transcoders.feature_input_hook, transcoders.feature_output_hook)
        for what, name, known in (("read", points.reads, points.known_reads()), ("write", points.writes, WRITES)):
            if name not in known:
                raise InputError(
                    f"These transcoders {what} at “{name[:80]}”, which a {parts.family.title} model does not have. "
                    f"Use a set whose transcoders {what} at {' or '.join(known)}, or none: a shared set is then "
                    "trained."
                )
        return points

    def known_reads(self) -> tuple[str, ...]:
        """Those that such a model has."""
        if self.parts.layers[0].before_mlp is None:
            return "mlp.hook_in", "hook_resid_mid"
        return READS[:2] if self.parts.parallel else READS

    def norm_read(self, layer: int) -> tuple[Norm | None, bool]:
        """The norm between the stream and what a transcoder reads, and whether its weight is multiplied in."""
        norm = None if self.reads == "hook_resid_mid" else self.parts.layers[layer].before_mlp
        return norm, self.reads == "mlp.hook_in"

    def norm_written(self, layer: int) -> Norm | None:
        """The norm between what a transcoder writes and the stream."""
        return self.parts.layers[layer].after_mlp if self.writes == "mlp.hook_out" else None

    @contextmanager
    def hooked(self, n: int, reads: Mapping[int, Read], writes: Mapping[int, Write]) -> Iterator[None]:
        """Hooks by layer, in forward passes of `n` prompts inside."""
        with ExitStack() as hooks:
            for layer, read in reads.items():
                module = self._reader(layer)
                hooks.callback(module.register_forward_pre_hook(self._reading(layer, n, read)).remove)
            for layer, write in writes.items():
                hooks.callback(self._writer(layer).register_forward_hook(_writing(n, write)).remove)
            yield

    def _reader(self, layer: int) -> nn.Module:
        parts = self.parts.layers[layer]
        return parts.mlp_reads if self.reads == "mlp.hook_in" else parts.mlp_entry

    def _writer(self, layer: int) -> nn.Module:
        parts = self.parts.layers[layer]
        return parts.mlp_writes if self.writes == "mlp.hook_out" else parts.mlp_exit

    def _reading(self, layer: int, n: int, read: Read) -> Callable[..., None]:
        norm = self.parts.layers[layer].before_mlp if self.reads == "ln2.hook_normalized" else None

        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            x = args[0]
            value = x if norm is None else norm.standardised(x)[0].to(x.dtype)
            read(value.reshape(n, -1, value.shape[-1]))

        return hook


def _writing(n: int, write: Write) -> Callable[..., torch.Tensor | None]:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        changed = write(output.reshape(n, -1, output.shape[-1]))
        return None if changed is None else changed.reshape(output.shape)

    return hook
