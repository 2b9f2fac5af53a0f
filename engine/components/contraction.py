"""Scores of edges from what sources changed by and what inputs are sensitive to, without a tensor of all of them.

At one position let r be the stream, x̂ = r / s what the norm makes of it, and W x̂ + b what the projection makes of that
for head input v (a q, k or v), with gradient g there. Then the gradient at r is (W^T g - x̂ (g · W x̂) / d_model) / s.
Both terms are kept as factors and summed over steps: Σ g / s of size d_head, and for each step one number and the x̂
that all inputs of the layer share. They meet the sources' changes once, however many steps there were, a few positions
at a time.
"""

from dataclasses import dataclass

import torch

from engine.components.batches import written_tokens
from engine.components.model import ComponentModel
from engine.components.tape import Gradients, Tape


@dataclass(frozen=True, eq=False)
class Changes:
    """What each source writes in one run minus in another: float32, a layer an entry."""

    embedded: torch.Tensor  # (n, n_pos, d_model)
    heads: list[torch.Tensor]  # (n, n_pos, n_heads d_head), to be multiplied by W_O
    mlps: list[torch.Tensor]  # (n, n_pos, d_model), or (n, 1, d_model) where only the last position is read

    @classmethod
    def between(cls, before: Tape, after: Tape) -> "Changes":
        return cls(
            after.embedded.float() - before.embedded.float(),
            [new.float() - old.float() for old, new in zip(before.heads, after.heads, strict=True)],
            [new.float() - old.float() for old, new in zip(before.mlps, after.mlps, strict=True)],
        )


class Sensitivity:
    """Stream gradients at all inputs, summed over steps, in factors."""

    def __init__(self, model: ComponentModel, last: torch.Tensor | None) -> None:
        self.model, self.last = model, last
        n_layers = len(model.layers)
        self._heads: list[torch.Tensor] = [torch.empty(0)] * n_layers  # Σ g / s, (3 n_heads, n, n_pos, d_head)
        self._standard: list[list[torch.Tensor]] = [[] for _ in range(n_layers)]  # x̂ of each step, (n, n_pos, d_model)
        self._along: list[list[torch.Tensor]] = [[] for _ in range(n_layers)]  # its factor, (3 n_heads, n, n_pos)
        self._streams: list[torch.Tensor] = [torch.empty(0)] * (n_layers + 1)  # MLPs, logits

    @torch.no_grad()
    def add(self, tape: Tape, found: Gradients) -> None:
        """One step: its pass, and the gradients there."""
        model = self.model
        for number, layer in enumerate(model.layers):
            x, scale = model.standardised(layer.before_attention, tape.streams[number])
            outputs = torch.stack(model.split(tape.projected[number])).float()  # (3, n, n_pos, H, d_head)
            gradient = torch.stack(model.split(found.heads[number])).float()
            offset = model.input_offsets[number]
            if offset is not None:
                outputs = outputs - offset.view(3, 1, 1, model.n_heads, model.d_head)
            gradient = gradient / scale[..., None]
            along = (gradient * outputs).sum(-1) / -model.d_model  # (3, n, n_pos, H)
            if layer.before_attention is None:  # nothing is divided by the stream's size
                along.zero_()
            self._along[number].append(along.permute(0, 3, 1, 2).flatten(0, 1))
            self._standard[number].append(x)
            heads = gradient.permute(0, 3, 1, 2, 4).flatten(0, 1)
            self._heads[number] = self._heads[number] + heads if self._heads[number].numel() else heads
        for place, stream in enumerate(found.streams):
            kept = self._streams[place]
            self._streams[place] = kept + stream.float() if kept.numel() else stream.float()

    @torch.no_grad()
    def meet(self, changes: Changes, rows: torch.Tensor) -> torch.Tensor:
        """(n_inputs, n_sources) float64: sums over these rows (n,) and all positions; 0 where there is no edge."""
        shape = self.model.shape
        total = torch.zeros(shape.n_inputs, shape.n_sources, dtype=torch.float64, device=rows.device)
        n_pos = changes.embedded.shape[1]
        size = max(1, written_tokens(self.model) // n_pos)
        for part in rows.split(size):
            self._meet(self._written(changes, part), part, total)
        return total

    def _written(self, changes: Changes, rows: torch.Tensor) -> torch.Tensor:
        """(n_sources, n_rows n_pos, d_model): what each source changed by."""
        shape = self.model.shape
        first = changes.embedded[rows].flatten(0, 1)
        written = first.new_empty(shape.n_sources, *first.shape)
        written[0] = first
        for number in range(shape.n_layers):
            heads = changes.heads[number][rows].unflatten(-1, (shape.n_heads, -1)).flatten(0, 1)  # (N, H, d_head)
            start, mlp = shape.head_source(number, 0), shape.mlp_source(number)
            torch.bmm(heads.transpose(0, 1), self.model.output_weights(number), out=written[start:mlp])
            output = changes.mlps[number][rows]
            written[mlp] = output.expand(-1, changes.embedded.shape[1], -1).flatten(0, 1)
        return written

    def _meet(self, written: torch.Tensor, rows: torch.Tensor, total: torch.Tensor) -> None:
        shape = self.model.shape
        for number in range(shape.n_layers):
            first, mlp = shape.head_input(number, 0, 0), shape.mlp_input(number)
            sources = written[: shape.n_before(number)].flatten(1)
            total[first:mlp, : len(sources)] += self._head_gradients(number, rows).flatten(1) @ sources.T
            sources = written[: shape.n_before(number, mlp=True)].flatten(1)
            total[mlp, : len(sources)] += sources @ self._stream_gradient(number, rows).flatten()
        total[shape.logits_input] += written.flatten(1) @ self._stream_gradient(shape.n_layers, rows).flatten()

    def _head_gradients(self, number: int, rows: torch.Tensor) -> torch.Tensor:
        """(3 n_heads, N, d_model)"""
        gradient = torch.bmm(self._heads[number][:, rows].flatten(1, 2), self.model.input_weights(number))
        for x, along in zip(self._standard[number], self._along[number], strict=True):
            gradient.addcmul_(along[:, rows].flatten(1)[..., None], x[rows].flatten(0, 1)[None])
        return gradient

    def _stream_gradient(self, place: int, rows: torch.Tensor) -> torch.Tensor:
        """(n_rows, n_pos, d_model)"""
        stream = self._streams[place][rows]
        n_pos = self._standard[0][0].shape[1]
        if self.last is None or stream.shape[1] == n_pos:
            return stream
        whole = stream.new_zeros(len(stream), n_pos, stream.shape[2])
        whole[torch.arange(len(stream), device=stream.device), self.last[rows]] = stream[:, 0]
        return whole
