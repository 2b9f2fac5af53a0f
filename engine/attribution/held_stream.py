"""The stream of one recorded pass as the linear thing that it is while patterns and denominators are held.

In the order of the layers: attention adds to it, features read it, and what is written in the layer is added; where
attention and MLP are parallel, both read what comes in.
"""

from dataclasses import dataclass
from functools import cached_property

import torch

from engine.attribution.held import HeldAttention, HeldNorm
from engine.attribution.recording import Recorded
from engine.attribution.sources import Sources
from engine.models.low_rank import matrix
from engine.models.replacement import ReplacementModel


@dataclass(frozen=True, eq=False)
class HeldSkip:
    """A transcoder's skip connection, from the stream that is read to the stream that is written to."""

    matrix: torch.Tensor  # (d_model, d_model): what goes out, what comes in
    scale: torch.Tensor  # (n_pos, 1)

    def back(self, gradient: torch.Tensor) -> torch.Tensor:
        """(n, n_places, d_model) at positions 1, 2, …, behind what is added -> at what is read."""
        return gradient @ self.matrix * self.scale[1 : gradient.shape[1] + 1]

    def forward(self, x: torch.Tensor, first: int) -> torch.Tensor:
        """(n, n_places, d_model) from position `first` on -> what is added there."""
        return (x * self.scale[first : first + x.shape[1]]) @ self.matrix.T


class HeldStream:
    """`attention`, `skips`, `added` and `read` of each layer, with the norms around them multiplied in."""

    def __init__(self, model: ReplacementModel, recorded: Recorded, sources: Sources) -> None:
        self._model, self._recorded, self._sources = model, recorded, sources
        self.n_layers, self.d_model = model.n_layers, model.parts.d_model
        self.parallel = model.parts.parallel
        self.attention = [self._attention_of(layer) for layer in range(model.n_layers)]
        self._reading: list[HeldNorm | None] = []
        self._writing: list[HeldNorm | None] = []
        for layer, scales in enumerate(recorded.scales):
            norm, weighted = model.points.norm_read(layer)
            self._reading.append(HeldNorm.of(norm, scales.before_mlp, weighted=weighted))
            self._writing.append(HeldNorm.of(model.points.norm_written(layer), scales.after_mlp))
        self._final = HeldNorm.of(model.parts.final_norm, recorded.final_scale)
        # Of each layer, (n_pos - 1, n_slots, d_model): what is written in it, as it is added to the stream.
        self.added = [
            written.vectors if norm is None else norm.forward(written.vectors) * norm.scale[1:, None]
            for written, norm in zip(sources.written, self._writing, strict=True)
        ]
        self.read = self._as_read()  # (n_features, d_model): what each feature reads along, at the stream

    def at_end(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors (n, d_model) that read behind the final norm, at the last position of the stream before it."""
        vectors = vectors.float()
        return vectors if self._final is None else self._final.back(vectors) * self._final.scale[-1]

    @cached_property
    def skips(self) -> list[HeldSkip | None]:
        if not self._model.transcoders.skip_connection:
            return [None] * self.n_layers
        return [self._skip(layer) for layer in range(self.n_layers)]

    @cached_property
    def token_values(self) -> torch.Tensor:
        """(n_kv_heads, n_pos, d_head) that the tokens give the values of the first attention."""
        return self.attention[0].valued(self._sources.tokens)

    @cached_property
    def first_values(self) -> list[torch.Tensor]:
        """What the first token gives the values of each layer at its own position, (n_kv_heads, 1, d_head)."""
        x, found = self._sources.tokens[:1], []
        for attention, skip in zip(self.attention, self.skips, strict=True):
            value = attention.valued(x)
            found.append(value)
            before, x = x, x + attention.at_first(value)
            if skip is not None:
                x = x + skip.forward((before if self.parallel else x)[None], 0)[0]
        return found

    def _as_read(self) -> torch.Tensor:
        layers, positions, _ = self._sources.active.unbind(1)
        counts = torch.bincount(layers, minlength=self.n_layers).tolist()
        parts = zip(self._reading, self._sources.encoders.split(counts), positions.split(counts), strict=True)
        return torch.cat([read if norm is None else norm.back(read) * norm.scale[at] for norm, read, at in parts])

    def _skip(self, layer: int) -> HeldSkip:
        scale = self._sources.tokens.new_ones(len(self._sources.tokens), 1)
        reads = self._recorded.reads
        unit = torch.eye(reads.shape[2], device=reads.device, dtype=reads.dtype)
        skip = self._model.transcoders.compute_skip(layer, unit).float()  # what comes in, what goes out
        if (norm := self._writing[layer]) is not None:
            skip, scale = norm.forward(skip), scale * norm.scale
        skip = skip.T
        if (norm := self._reading[layer]) is not None:
            skip, scale = norm.back(skip), scale * norm.scale
        return HeldSkip(skip, scale)

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
