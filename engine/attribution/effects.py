"""Direct effects: rows of edges into features and logits, by one explicit linear pass downwards, without autograd.

With attention patterns and norm denominators held, everything between what one MLP writes and what a later one reads is
linear (Ameisen et al. 2025). Let g be the gradient of what a target reads at the stream behind a layer. Below the
layer's attention it is g + D W_V^T A^T W_O^T g, A its patterns and D its norm's scale; what is written in a layer has
the effect g · vector. Biases are constants and have no part in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from engine.attribution.recording import Recorded
from engine.attribution.sources import Sources
from engine.models.low_rank import matrix
from engine.models.parts import Norm
from engine.models.replacement import ReplacementModel

# Numbers of the gradients that go down together, and how many rows at least. Few enough that they stay in the
# processor's cache, so many that its cores are busy.
_TOGETHER = 2**18
_AT_LEAST = 64


@dataclass(frozen=True, eq=False)
class Held:
    """A norm whose denominator is held: a linear map, and here its transpose."""

    factor: torch.Tensor  # (n_pos, 1) or (n_pos, d_model)
    centred: bool

    @classmethod
    def of(cls, norm: Norm | None, scale: torch.Tensor | None, *, weighted: bool = True) -> "Held | None":
        """None: there is no norm. weighted: its weight is multiplied in."""
        if norm is None or scale is None:
            return None
        return cls(norm.weighted(scale) if weighted else scale, norm.centred)

    def __call__(self, gradient: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        """(n, n_pos, d_model) at what it gives -> at the stream; or (n, d_model), each row at its own position."""
        factor = self.factor[: gradient.shape[1]] if positions is None else self.factor[positions]
        gradient = gradient * factor
        return gradient - gradient.mean(-1, keepdim=True) if self.centred else gradient

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n_pos, d_model) in the stream -> what it gives for it."""
        return (x - x.mean(-1, keepdim=True) if self.centred else x) * self.factor


@dataclass(frozen=True, eq=False)
class Attention:
    """A layer's attention with its patterns held."""

    patterns: torch.Tensor  # (n_heads, n_pos, n_pos): to, from
    values: torch.Tensor  # W_V (n_kv_heads d_head, d_model)
    outputs: torch.Tensor  # W_O (d_model, n_heads d_head)
    n_kv_heads: int
    before: Held | None
    after: Held | None

    def down(self, gradient: torch.Tensor, n_spread: int, positions: torch.Tensor) -> torch.Tensor:
        """(n, n_pos, d_model) at what it adds to the stream -> at the stream it reads.

        Rows from `n_spread` on are zero but at their own position (n,).
        """
        at_values = self.to_values(gradient, n_spread, positions)
        v = (at_values.flatten(0, 1) @ self.values).view_as(gradient)
        return v if self.before is None else self.before(v)

    def to_values(self, gradient: torch.Tensor, n_spread: int, positions: torch.Tensor) -> torch.Tensor:
        """(n, n_pos, n_kv_heads d_head) at the values, of a gradient as `down` takes it."""
        n, n_pos, _ = gradient.shape
        n_heads, kv = len(self.patterns), self.n_kv_heads
        z = self._to_heads(gradient, n_spread, positions).view(n, n_pos, n_heads, -1)
        z = z.permute(2, 1, 0, 3).reshape(kv, n_heads // kv * n_pos, -1)  # heads that share a value side by side
        patterns = self.patterns[:, :n_pos, :n_pos].reshape(kv, -1, n_pos)
        v = torch.bmm(patterns.transpose(1, 2), z).view(kv, n_pos, n, -1)
        return v.permute(2, 1, 0, 3).flatten(2)

    def _to_heads(self, gradient: torch.Tensor, n_spread: int, positions: torch.Tensor) -> torch.Tensor:
        n, n_pos, _ = gradient.shape
        z = gradient.new_zeros(n, n_pos, self.outputs.shape[1])
        spread, at = gradient[:n_spread], positions[n_spread:]
        alone = torch.arange(n_spread, n, device=gradient.device)
        own = gradient[alone, at]
        if self.after is not None:
            spread, own = self.after(spread), self.after(own, at)
        torch.mm(spread.flatten(0, 1), self.outputs, out=z[:n_spread].flatten(0, 1))
        z[alone, at] = own @ self.outputs
        return z

    def valued(self, x: torch.Tensor) -> torch.Tensor:
        """(n_pos, n_kv_heads d_head): what vectors in the stream (n_pos, d_model) give the values."""
        return (x if self.before is None else self.before.forward(x)) @ self.values.T


class _Going:
    """Gradients of some rows on their way down, at a point of the stream; those that have not begun yet behind."""

    def __init__(self, layers: torch.Tensor, positions: torch.Tensor, vectors: torch.Tensor, n_layers: int) -> None:
        n_pos = int(positions.max()) + 1
        self._begins = torch.bincount(layers, minlength=n_layers + 1).tolist()  # how many rows
        self._positions, self._vectors = positions, vectors
        self._all = vectors.new_zeros(len(vectors), n_pos, vectors.shape[1])
        self.n = 0
        self.n_spread = 0  # rows that have been through an attention; the others are at their own position

    @property
    def gradient(self) -> torch.Tensor:
        """(n, n_pos, d_model)"""
        return self._all[: self.n]

    def begin(self, layer: int, held: "Held | None") -> None:
        """The rows of a layer, which read through this norm."""
        rows = torch.arange(self.n, self.n + self._begins[layer], device=self._all.device)
        at, own = self._positions[rows], self._vectors[rows]
        self._all[rows, at] = own if held is None else held(own, at)
        self.n += len(rows)

    def add(self, more: torch.Tensor | None) -> None:
        if more is not None:
            self.gradient.add_(more)

    def down(self, attention: Attention) -> None:
        if self.n:
            self.add(attention.down(self.gradient, self.n_spread, self._positions[: self.n]))
            self.n_spread = self.n


class Effects:
    """Rows of edges of one recorded pass. Positions behind a target's own are never carried."""

    def __init__(self, model: ReplacementModel, recorded: Recorded, sources: Sources) -> None:
        self._model, self._recorded, self._sources = model, recorded, sources
        parts, points = model.parts, model.points
        self._attention = [self._attention_of(layer) for layer in range(model.n_layers)]
        self._reading: list[Held | None] = []
        self._writing: list[Held | None] = []
        for layer, scales in enumerate(recorded.scales):
            norm, weighted = points.norm_read(layer)
            self._reading.append(Held.of(norm, scales.before_mlp, weighted=weighted))
            self._writing.append(Held.of(points.norm_written(layer), scales.after_mlp))
        self._final = Held.of(parts.final_norm, recorded.final_scale)

    def of_features(self, rows: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Of these rows (n,) of `Sources.active`: some of them, and their effects (n_some, n_columns)."""
        layers, positions, _ = self._sources.active[rows].unbind(1)
        for some in self._batches(positions, layers):
            yield rows[some], self._down(layers[some], positions[some], self._sources.encoders[rows[some]])

    def of_logits(self, vectors: torch.Tensor) -> torch.Tensor:
        """(n, n_columns) of vectors (n, d_model) that read the last position behind the final norm."""
        n_pos = len(self._sources.tokens)
        last = torch.full((len(vectors),), n_pos - 1, device=vectors.device)
        return self._down(torch.full_like(last, self._n_layers), last, vectors.float())

    @property
    def _n_layers(self) -> int:
        return self._model.n_layers

    def _per_row(self, n_pos: int) -> int:
        return n_pos * self._model.parts.d_model

    def _batches(self, positions: torch.Tensor, layers: torch.Tensor) -> Iterator[torch.Tensor]:
        """By position, so that no row carries a later one; the highest layer first."""
        order = positions.argsort(stable=True)
        ends, start = positions[order].tolist(), 0
        while start < len(ends):
            size = _AT_LEAST
            while start + size < len(ends) and (size + 1) * self._per_row(ends[start + size] + 1) <= _TOGETHER:
                size += 1
            some = order[start : start + size]
            yield some[layers[some].argsort(descending=True, stable=True)]
            start += size

    def _down(self, layers: torch.Tensor, positions: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """(n, n_columns) of rows that begin where `layers` says, highest first; `_n_layers`: at the unembedding."""
        effects = vectors.new_zeros(len(vectors), self._sources.n_columns)
        parallel, going = self._model.parts.parallel, _Going(layers, positions, vectors, self._n_layers)
        going.begin(self._n_layers, self._final)
        for layer in range(min(int(layers[0]), self._n_layers - 1), -1, -1):
            skipped = self._read(layer, going.gradient, effects[: going.n]) if going.n else None
            if parallel:
                going.down(self._attention[layer])
            going.add(skipped)
            going.begin(layer, self._reading[layer])
            if layer and not parallel:
                going.down(self._attention[layer])
        n_pos, first = going.gradient.shape[1], self._sources.first_token
        tokens = effects[:, first : first + n_pos]
        tokens += torch.einsum("npd,pd->np", going.gradient, self._sources.tokens[:n_pos])
        if not parallel:
            # Below the last attention only the tokens are left: it is cheaper to take them up through it.
            at_values = self._attention[0].to_values(going.gradient, going.n_spread, positions)
            tokens += torch.einsum("npe,pe->np", at_values, self._token_values[:n_pos])
        return effects

    @cached_property
    def _token_values(self) -> torch.Tensor:
        return self._attention[0].valued(self._sources.tokens)

    def _read(self, layer: int, gradient: torch.Tensor, effects: torch.Tensor) -> torch.Tensor | None:
        """Put the effects of what is written in the layer where they belong. What goes through a skip connection.

        (n, n_pos, d_model), where there is one: at the stream that the MLP reads.
        """
        held, written, n_pos = self._writing[layer], self._sources.written[layer], gradient.shape[1]
        gradient = gradient if held is None else held(gradient)
        found = torch.bmm(gradient.transpose(0, 1), written.vectors[:n_pos].transpose(1, 2))  # (n_pos, n, n_places)
        found = found.transpose(0, 1).flatten(1)
        until = written.until[n_pos]
        effects.index_add_(1, written.column[:until], found.index_select(1, written.place[:until]))
        skip = self._skips[layer]
        if skip is None:
            return None
        skipped = gradient @ skip
        reading = self._reading[layer]
        return skipped if reading is None else reading(skipped)

    @cached_property
    def _skips(self) -> list[torch.Tensor | None]:
        """A layer an entry, (d_model, d_model) float32: what goes out, what comes in."""
        transcoders = self._model.transcoders
        if not transcoders.skip_connection:
            return [None] * self._n_layers
        unit = torch.eye(self._model.parts.d_model, device=self._model.device, dtype=self._sources.errors.dtype)
        return [transcoders.compute_skip(layer, unit).float().T for layer in range(self._n_layers)]

    def _attention_of(self, layer: int) -> Attention:
        parts, scales = self._model.parts, self._recorded.scales[layer]
        modules = parts.layers[layer]
        _, _, values = parts.by_kind(layer)
        return Attention(
            patterns=self._recorded.patterns[layer],
            values=values.float(),
            outputs=matrix(modules.output).float(),
            n_kv_heads=parts.n_kv_heads,
            before=Held.of(modules.before_attention, scales.before_attention),
            after=Held.of(modules.after_attention, scales.after_attention),
        )
