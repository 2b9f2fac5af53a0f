"""Columns of edges: what sources make of the stream on their way up, and what the features on it read of that.

The mirror of the rows that go down (`engine.attribution.effects`). Positions before a source's own are never carried.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from engine.attribution.batches import batches
from engine.attribution.held_stream import HeldStream
from engine.attribution.sources import Placed, Sources, laid_out


@dataclass(frozen=True, eq=False)
class Risen:
    """What some sources have made of the stream at the middle: where the features of a layer read it."""

    columns: torch.Tensor  # (n,)
    layers: torch.Tensor  # (n,) in which they are written first, ascending; -1: tokens
    first: int  # position
    values: torch.Tensor  # (n, n_pos - first, d_model)

    def meet(self, gradient: torch.Tensor, effects: list[torch.Tensor]) -> None:
        """Add to `effects` (n_columns + 1, n_rows) of some rows each those on them. gradient: (n, n_places, d_model) of
        all of these rows at the middle, at positions 1, 2, …"""
        start = max(self.first, 1)
        shared = 1 + gradient.shape[1] - start
        if shared > 0:
            values = self.values[:, start - self.first :][:, :shared]
            found = values.flatten(1) @ gradient[:, start - 1 :].flatten(1).T
            for own, one in zip(effects, found.split([own.shape[1] for own in effects], dim=1), strict=True):
                own.index_add_(0, self.columns, one)


class Upward:
    """Of all that is written below the features of layer `middle`, tokens included."""

    def __init__(self, stream: HeldStream, sources: Sources, middle: int) -> None:
        self._stream, self._sources, self._middle = stream, sources, middle
        layers, positions, _ = sources.active.unbind(1)
        self.n_below = int((layers < middle).sum())  # features, which stand first
        self._readers = [self._readers_of(layer) for layer in range(middle)]
        n_pos, device = len(sources.tokens), layers.device
        own = torch.arange(n_pos, device=device)
        errors = [sources.n_features + layer * n_pos + own[1:] for layer in range(middle)]
        below = torch.arange(self.n_below, device=device)
        # Of every column its place, and the layer in which it is written first; tokens are there before the first.
        self._columns = torch.cat([below, *errors, sources.first_token + own])
        self._positions = torch.cat([positions[: self.n_below], own[1:].repeat(middle), own])
        self._layers = torch.cat(
            [
                layers[: self.n_below],
                torch.arange(middle, device=device).repeat_interleave(n_pos - 1),
                own.new_full((n_pos,), -1),
            ]
        )
        self._work = ((middle - self._layers) * (n_pos - self._positions)).double()

    @property
    def work(self) -> float:
        return float(self._work.sum())

    def work_of(self, some: torch.Tensor) -> float:
        """Positions that pass an attention."""
        return float(self._work[some].sum())

    def batches(self) -> Iterator[torch.Tensor]:
        """Which columns go up together."""
        n_pos = len(self._sources.tokens)
        return batches(n_pos - self._positions, self._middle - self._layers, self._stream.d_model)

    def risen(self, some: torch.Tensor) -> tuple[Risen, torch.Tensor]:
        """Some of them, and their effects (n_below, n) on the features that read below the middle."""
        columns, layers = self._columns[some], self._layers[some]
        first, last = (int(at) for at in self._positions[some].aminmax())
        n_tokens = int((layers < 0).sum())  # the first ones
        tokens = self._sources.tokens
        x = tokens.new_zeros(len(some), len(tokens) - first, tokens.shape[1])
        own = self._positions[some[:n_tokens]]
        x[torch.arange(n_tokens, device=x.device), own - first] = tokens[own]
        effects = x.new_zeros(self.n_below + 1, len(some))
        begun = torch.bincount(layers + 1, minlength=self._middle + 1).cumsum(0).tolist()
        local = torch.full((self._sources.n_columns + 1,), -1, device=x.device)  # which of these a column is
        local[columns] = torch.arange(len(some), device=x.device)
        for layer in range(self._middle + 1):
            if begun[layer]:
                self._pass(layer, x[: begun[layer]], first, effects[:, : begun[layer]])
            if layer < self._middle:
                self._write(layer, x, first, last, local)
        return Risen(columns, layers, first, x), effects[:-1]

    def _pass(self, layer: int, x: torch.Tensor, first: int, effects: torch.Tensor) -> None:
        """Up to what the layer writes; at the middle up to where its features read."""
        stream = self._stream
        if not stream.parallel:
            stream.attention[layer].add_up(x, first)
        if layer == self._middle:
            return
        self._read(layer, x, first, effects)
        skip = stream.skips[layer]
        skipped = None if skip is None else skip.forward(x, first)
        if stream.parallel:
            stream.attention[layer].add_up(x, first)
        if skipped is not None:
            x += skipped

    def _read(self, layer: int, x: torch.Tensor, first: int, effects: torch.Tensor) -> None:
        """Put where they belong the effects on the features of a layer."""
        start = max(first, 1)
        vectors, row = (of_places[start - 1 :] for of_places in self._readers[layer])
        found = torch.bmm(vectors, x[:, start - first :].permute(1, 2, 0)).flatten(0, 1)
        effects.index_copy_(0, row.flatten(), found)

    def _write(self, layer: int, x: torch.Tensor, first: int, last: int, local: torch.Tensor) -> None:
        """Add what of these columns is written in a layer."""
        places = slice(max(first, 1) - 1, last)
        own = local[self._sources.written[layer].column[places]]
        place, slot = (own >= 0).nonzero().unbind(1)
        vectors = self._stream.added[layer][places][place, slot]
        x[own[place, slot], place + max(first, 1) - first] += vectors

    def _readers_of(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(n_pos - 1, n_slots, d_model) what its features read along; their rows, `n_below` where a slot is empty."""
        layers, positions, _ = self._sources.active.unbind(1)
        rows = (layers == layer).nonzero()[:, 0]
        placed = Placed(self._stream.read[rows], positions[rows], rows)
        return laid_out(placed, len(self._sources.tokens) - 1, nowhere=self.n_below)
