"""Direct effects: rows of edges into features and logits, by one explicit linear pass downwards, without autograd.

With attention patterns and norm denominators held, everything between what one MLP writes and what a later one reads is
linear (Ameisen et al. 2025). Let g be the gradient of what a target reads at the stream behind a layer. Below the
layer's attention it is g + D W_V^T A^T W_O^T g, A its patterns and D its norm's scale; what is written in a layer has
the effect g · vector. Biases are constants and have no part in it.

Position 0 has no features and no errors, and nothing later is written there: all that its gradient would serve is the
effect of the first token. So gradients have places 1, 2, … alone, and the first token is taken up through the layers,
once for all rows, to the values that later positions see of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from engine.attribution.held import HeldAttention, HeldNorm
from engine.attribution.recording import Recorded
from engine.attribution.sources import Sources
from engine.models.low_rank import matrix
from engine.models.replacement import ReplacementModel

# Numbers of the gradients that go down together, and how many rows at least. On a processor few enough that they stay
# in its cache, so many that its cores are busy.
_TOGETHER = {"cpu": 2**18}
_TOGETHER_ELSEWHERE = 2**27
_AT_LEAST = 64
_COPIES = 5  # of the gradients' size, while they pass an attention


class _Going:
    """Gradients of some rows on their way down, at a point of the stream; those that have not begun yet behind."""

    def __init__(self, layers: torch.Tensor, positions: torch.Tensor, vectors: torch.Tensor, n_layers: int) -> None:
        """vectors (n, d_model) at the stream; the highest layer first."""
        self._begins = torch.bincount(layers, minlength=n_layers + 1).tolist()  # how many rows
        self._own = positions - 1
        self._all = vectors.new_zeros(len(vectors), int(positions.max()), vectors.shape[1])
        self._all[torch.arange(len(vectors), device=vectors.device), self._own] = vectors
        self.n = 0
        self.n_spread = 0  # rows that have been through an attention; the others are at their own position

    @property
    def gradient(self) -> torch.Tensor:
        """(n, n_places, d_model)"""
        return self._all[: self.n]

    @property
    def own(self) -> torch.Tensor:
        """(n,) each row's own place."""
        return self._own[: self.n]

    def begin(self, layer: int) -> None:
        """The rows of a layer."""
        self.n += self._begins[layer]

    def add(self, more: torch.Tensor | None) -> None:
        if more is not None:
            self.gradient.add_(more)

    def down(self, attention: HeldAttention, first_value: torch.Tensor) -> torch.Tensor | None:
        """Through an attention. (n,) effects of the first token by its value there, (n_kv_heads, 1, d_head)."""
        if not self.n:
            return None
        at_values = attention.to_values(self.gradient, self.n_spread, self.own)
        attention.add_down(self.gradient, at_values)
        self.n_spread = self.n
        return _by_values(at_values[:, :1], first_value)[0]


@dataclass(frozen=True, eq=False)
class _Skip:
    """A transcoder's skip connection, from the stream that is read to the stream that is written to."""

    matrix: torch.Tensor  # (d_model, d_model): what goes out, what comes in
    scale: torch.Tensor  # (n_pos, 1)

    def back(self, gradient: torch.Tensor) -> torch.Tensor:
        """(n, n_places, d_model) behind what is added -> at what is read."""
        return gradient @ self.matrix * self.scale[1 : gradient.shape[1] + 1]

    def at_first(self, x: torch.Tensor) -> torch.Tensor:
        """(d_model,) at position 0 -> what is added there."""
        return self.matrix @ x * self.scale[0]


def _by_values(at_values: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(n_pos, n): gradients at values (n_kv_heads, n_pos, n, d_head) times those values (n_kv_heads, n_pos, d_head)."""
    return torch.matmul(at_values, values[..., None])[..., 0].sum(0)


class Effects:
    """Rows of edges of one recorded pass. Positions behind a target's own are never carried."""

    def __init__(self, model: ReplacementModel, recorded: Recorded, sources: Sources) -> None:
        self._model, self._recorded, self._sources = model, recorded, sources
        parts, points = model.parts, model.points
        self._attention = [self._attention_of(layer) for layer in range(model.n_layers)]
        self._reading: list[HeldNorm | None] = []
        self._writing: list[HeldNorm | None] = []
        for layer, scales in enumerate(recorded.scales):
            norm, weighted = points.norm_read(layer)
            self._reading.append(HeldNorm.of(norm, scales.before_mlp, weighted=weighted))
            self._writing.append(HeldNorm.of(points.norm_written(layer), scales.after_mlp))
        self._final = HeldNorm.of(parts.final_norm, recorded.final_scale)
        self._together = _TOGETHER.get(sources.tokens.device.type, _TOGETHER_ELSEWHERE)
        self._vectors = self._as_added()
        self._encoders = self._as_read()

    def of_features(self, rows: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Of these rows (n,) of `Sources.active`: some of them, and their effects (n_some, n_columns)."""
        layers, positions, _ = self._sources.active[rows].unbind(1)
        for some in self._batches(positions, layers):
            yield rows[some], self._down(layers[some], positions[some], self._encoders[rows[some]])

    def of_all(self, vectors: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Of every feature, and of logits as `of_logits` has them: some rows of the graph, and their effects
        (n_some, n_columns). The logits go down with features, which costs less than a pass of their own."""
        own = torch.arange(len(vectors), device=vectors.device)
        layers, positions, _ = self._sources.active.unbind(1)
        rows = torch.cat([torch.arange(len(layers), device=own.device), self._sources.n_columns + own])
        positions = torch.cat([positions, torch.full_like(own, len(self._sources.tokens) - 1)])
        layers, read = torch.cat([layers, torch.full_like(own, self._n_layers)]), self._read_by(vectors)
        for some in self._batches(positions, layers):
            n = int((some >= len(self._encoders)).sum())  # they stand first
            along = torch.cat([read[some[:n] - len(self._encoders)], self._encoders[some[n:]]])
            yield rows[some], self._down(layers[some], positions[some], along)

    def of_logits(self, vectors: torch.Tensor, handing_on: torch.Tensor | None = None) -> torch.Tensor:
        """(n, n_columns) of vectors (n, d_model) that read the last position behind the final norm.

        `handing_on` (n_features,) bool: features that hand on to what they read, so that the effects are those by all
        paths through them, with the set of active features held. None: no feature does, and the effects are direct.
        """
        n_pos = len(self._sources.tokens)
        last = torch.full((len(vectors),), n_pos - 1, device=vectors.device)
        return self._down(torch.full_like(last, self._n_layers), last, self._read_by(vectors), handing_on)

    def _read_by(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors (n, d_model) that read behind the final norm, at the last position of the stream before it."""
        vectors = vectors.float()
        return vectors if self._final is None else self._final.back(vectors) * self._final.scale[-1]

    @property
    def _n_layers(self) -> int:
        return self._model.n_layers

    @property
    def batch_bytes(self) -> int:
        """What a batch of rows takes on its way, about: gradients, and what attention makes of them."""
        rows = len(self._sources.active) * (len(self._sources.tokens) - 1) * self._model.parts.d_model
        return 4 * _COPIES * min(self._together, rows)

    def _batches(self, positions: torch.Tensor, layers: torch.Tensor) -> Iterator[torch.Tensor]:
        """By position, so that no row carries a later one; the highest layer first."""
        order = positions.argsort(stable=True)
        ends, start = positions[order].tolist(), 0
        together = self._together // self._model.parts.d_model
        while start < len(ends):
            size = _AT_LEAST
            while start + size < len(ends) and (size + 1) * ends[start + size] <= together:
                size += 1
            some = order[start : start + size]
            yield some[layers[some].argsort(descending=True, stable=True)]
            start += size

    def _down(
        self,
        layers: torch.Tensor,
        positions: torch.Tensor,
        vectors: torch.Tensor,
        handing_on: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(n, n_columns) of rows that begin where `layers` says, highest first; `_n_layers`: at the unembedding."""
        # A row of it is a source, so that what the rows of a batch get from one source lies together.
        effects = vectors.new_zeros(self._sources.nowhere + 1, len(vectors))
        going = _Going(layers, positions, vectors, self._n_layers)
        going.begin(self._n_layers)
        for layer in range(min(int(layers[0]), self._n_layers - 1), -1, -1):
            if going.n:
                self._read(layer, going.gradient, effects[:, : going.n])
            skip = self._skips[layer]
            skipped = None if skip is None else skip.back(going.gradient)
            if self._model.parts.parallel:
                self._through_attention(layer, going, effects)
            going.add(skipped)
            going.begin(layer)
            if handing_on is not None:
                self._hand_on(layer, going.gradient, effects, handing_on)
            if layer and not self._model.parts.parallel:
                self._through_attention(layer, going, effects)
        self._read_tokens(going, effects)
        return effects[: self._sources.n_columns].T.contiguous()

    def _through_attention(self, layer: int, going: _Going, effects: torch.Tensor) -> None:
        found = going.down(self._attention[layer], self._first_values[layer])
        if found is not None:
            effects[self._sources.first_token, : going.n] += found

    def _read_tokens(self, going: _Going, effects: torch.Tensor) -> None:
        gradient, tokens, first = going.gradient, self._sources.tokens, self._sources.first_token
        n_pos = 1 + gradient.shape[1]
        found = effects[first : first + n_pos]
        found[1:] += torch.bmm(gradient.transpose(0, 1), tokens[1:n_pos, :, None])[..., 0]
        if not self._model.parts.parallel:
            # Below the last attention only the tokens are left: it is cheaper to take them up through it.
            at_values = self._attention[0].to_values(gradient, going.n_spread, going.own)
            found += _by_values(at_values, self._token_values[:, :n_pos])

    @cached_property
    def _token_values(self) -> torch.Tensor:
        return self._attention[0].valued(self._sources.tokens)

    @cached_property
    def _first_values(self) -> list[torch.Tensor]:
        """What the first token gives the values of each layer at its own position, (n_kv_heads, 1, d_head)."""
        x, found = self._sources.tokens[0], []
        for attention, skip in zip(self._attention, self._skips, strict=True):
            value = attention.valued(x[None])
            found.append(value)
            before, x = x, x + attention.at_first(value)
            if skip is not None:
                x = x + skip.at_first(before if self._model.parts.parallel else x)
        return found

    def _read(self, layer: int, gradient: torch.Tensor, effects: torch.Tensor) -> None:
        """Put the effects of what is written in the layer where they belong."""
        n_places = gradient.shape[1]
        found = torch.bmm(self._vectors[layer][:n_places], gradient.permute(1, 2, 0)).flatten(0, 1)
        effects.index_add_(0, self._sources.written[layer].column[:n_places].flatten(), found)

    def _hand_on(self, layer: int, gradient: torch.Tensor, effects: torch.Tensor, handing_on: torch.Tensor) -> None:
        """Give what a layer's features have come to, for each unit of their activation, to what they read."""
        layers, positions, _ = self._sources.active.unbind(1)
        rows = ((layers == layer) & handing_on).nonzero()[:, 0]
        per_unit = effects[rows] / self._sources.activations[rows, None].float()
        counts = torch.bincount(positions[rows] - 1, minlength=gradient.shape[1]).tolist()  # rows go by position
        of_places = zip(per_unit.split(counts), self._encoders[rows].split(counts), strict=True)
        for place, (own, encoders) in enumerate(of_places):
            gradient[:, place] += own.T @ encoders

    def _as_added(self) -> list[torch.Tensor]:
        """Of each layer, (n_pos - 1, n_slots, d_model): what is written in it, as it is added to the stream."""
        return [
            written.vectors if norm is None else norm.forward(written.vectors) * norm.scale[1:, None]
            for written, norm in zip(self._sources.written, self._writing, strict=True)
        ]

    def _as_read(self) -> torch.Tensor:
        """(n_features, d_model): what each feature reads along, at the stream."""
        layers, positions, _ = self._sources.active.unbind(1)
        counts = torch.bincount(layers, minlength=self._n_layers).tolist()
        parts = zip(self._reading, self._sources.encoders.split(counts), positions.split(counts), strict=True)
        return torch.cat([read if norm is None else norm.back(read) * norm.scale[at] for norm, read, at in parts])

    @cached_property
    def _skips(self) -> list[_Skip | None]:
        transcoders = self._model.transcoders
        if not transcoders.skip_connection:
            return [None] * self._n_layers
        return [self._skip(layer) for layer in range(self._n_layers)]

    def _skip(self, layer: int) -> _Skip:
        scale = self._sources.tokens.new_ones(len(self._sources.tokens), 1)
        reads = self._recorded.reads
        unit = torch.eye(reads.shape[2], device=reads.device, dtype=reads.dtype)
        skip = self._model.transcoders.compute_skip(layer, unit).float()  # what comes in, what goes out
        if (norm := self._writing[layer]) is not None:
            skip, scale = norm.forward(skip), scale * norm.scale
        skip = skip.T
        if (norm := self._reading[layer]) is not None:
            skip, scale = norm.back(skip), scale * norm.scale
        return _Skip(skip, scale)

    def _attention_of(self, layer: int) -> HeldAttention:
        parts, scales = self._model.parts, self._recorded.scales[layer]
        modules = parts.layers[layer]
        _, _, values = parts.by_kind(layer)
        return HeldAttention.of(
            self._recorded.patterns[layer],
            values.float(),
            matrix(modules.output).float(),
            parts.n_kv_heads,
            HeldNorm.of(modules.before_attention, scales.before_attention),
            HeldNorm.of(modules.after_attention, scales.after_attention),
        )
