"""Direct effects: edges into features and logits, by explicit linear passes, without autograd.

With attention patterns and norm denominators held, everything between what one MLP writes and what a later one reads is
linear (Ameisen et al. 2025). Let g be the gradient of what a target reads at the stream behind a layer. Below the
layer's attention it is g + D W_V^T A^T W_O^T g, A its patterns and D its norm's scale; what is written in a layer has
the effect g · vector. Biases are constants and have no part in it.

Position 0 has no features and no errors, and nothing later is written there: all that its gradient would serve is the
effect of the first token. So gradients have places 1, 2, … alone, and the first token is taken up through the layers,
once for all rows, to the values that later positions see of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch.nn.functional import pad

from engine.attribution.batches import batches, meeting, on_the_way_bytes
from engine.attribution.held import HeldAttention
from engine.attribution.held_stream import HeldStream
from engine.attribution.middle import Middle, best_middle, is_small
from engine.attribution.recording import Recorded
from engine.attribution.sources import Sources
from engine.attribution.upward import Risen, Upward
from engine.models.replacement import ReplacementModel
from engine.models.threads import cores_here


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


def _by_values(at_values: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(n_pos, n): gradients at values (n_kv_heads, n_pos, n, d_head) times those values (n_kv_heads, n_pos, d_head)."""
    return torch.matmul(at_values, values[..., None])[..., 0].sum(0)


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the matrix of effects."""

    rows: torch.Tensor | slice
    columns: torch.Tensor | slice
    effects: torch.Tensor  # (n_rows, n_columns)


@dataclass(frozen=True, eq=False)
class Portion:
    """A portion of the work."""

    share: float  # of all
    make: Callable[[], list[Block]]


@dataclass(frozen=True, eq=False)
class _Targets:
    """Rows where they begin."""

    rows: torch.Tensor  # (n,)
    layers: torch.Tensor  # (n,); n_layers: at the unembedding
    positions: torch.Tensor  # (n,)
    vectors: torch.Tensor  # (n, d_model) that they read along

    def some(self, at: torch.Tensor) -> "_Targets":
        return _Targets(self.rows[at], self.layers[at], self.positions[at], self.vectors[at])


def _side_by_side(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Of (n, n_places, d_model) each; places that one does not have are zero."""
    if len(gradients) == 1:
        return gradients[0]
    n_places = max(one.shape[1] for one in gradients)
    return torch.cat([pad(one, (0, 0, 0, n_places - one.shape[1])) for one in gradients])


def _runs(layers: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """Where layers (n,) are the same one after the other: which, and where."""
    found, counts = layers.unique_consecutive(return_counts=True)
    start = 0
    for layer, n in zip(found.tolist(), counts.tolist(), strict=True):
        yield layer, slice(start, start + n)
        start += n


@dataclass(frozen=True, eq=False)
class _Ended:
    """Rows that have come to their end."""

    effects: torch.Tensor  # (n_columns + 1, n): what a row's sources do lies together for the rows of a batch
    gradient: torch.Tensor  # (n, n_places, d_model) there

    @property
    def rows(self) -> torch.Tensor:
        """(n, n_columns)"""
        return self.effects[:-1].T.contiguous()


class Effects:
    """Edges of one recorded pass. Positions behind a target's own, or before a source's, are never carried."""

    def __init__(self, model: ReplacementModel, recorded: Recorded, sources: Sources) -> None:
        self._sources, self._stream = sources, HeldStream(model, recorded, sources)
        of_layers = torch.bincount(sources.active[:, 0], minlength=model.n_layers)
        self._n_below = [0, *of_layers.cumsum(0).tolist()]  # of each layer, and above all: features in those below

    @property
    def side_by_side(self) -> bool:
        """Whether it pays to make portions side by side."""
        return self._stream.read.device.type == "cpu" and not is_small(self._stream, self._sources)

    def of_features(self, rows: torch.Tensor, shares: torch.Tensor) -> list[Portion]:
        """Of these rows (n,) of `Sources.active`, with every column. shares (n,): of all the work, each row's."""
        layers, positions, _ = self._sources.active[rows].unbind(1)
        targets = _Targets(rows, layers, positions, self._stream.read[rows])

        def make(some: torch.Tensor) -> list[Block]:
            one = targets.some(some)
            return [Block(one.rows, slice(0, self._sources.n_columns), self._down(one).rows)]

        together = batches(positions, layers, self._stream.d_model)
        return [Portion(float(shares[some].sum()), partial(make, some)) for some in together]

    def middle(self, n_logits: int, room: float) -> Middle:
        """The best for `of_all`; `room`: bytes that may wait there."""
        return best_middle(self._stream, self._sources, n_logits, room)

    def of_all(self, vectors: torch.Tensor, middle: int = 0) -> Iterator[list[Portion]]:
        """Of every feature, and of logits as `of_logits` has them. The portions of a list may be made in any order and
        side by side, and all of them before the next list is asked for. Outside the blocks all is 0, which nothing is
        written to. The logits go down with features, which costs less than a pass of their own. `middle`: the layer at
        which rows meet columns, as `best_middle` has it; 0: rows alone."""
        upward = Upward(self._stream, self._sources, middle) if middle else None
        targets = self._targets(vectors, upward.n_below if upward else 0)
        work = ((targets.layers - middle + 1) * targets.positions).double()
        total = float(work.sum()) + (upward.work if upward else 0)
        waiting: dict[int, Risen] = {}
        if upward:
            rising = [
                Portion(upward.work_of(some) / total, partial(self._rise, upward, some, waiting, number))
                for number, some in enumerate(upward.batches())
            ]
            yield rising[::-1]  # what takes longest comes first, so that at the end no core waits long for another
        risen = [waiting[number] for number in range(len(waiting))]
        going_down = batches(targets.positions, targets.layers, self._stream.d_model)
        together = meeting(vectors.device.type) if risen else 1
        falling: list[Portion] = []
        # The first ones have few places: what they meet takes little time, and small portions let cores end together.
        while group := list(islice(going_down, 1 if len(falling) < together else together)):
            share = float(work[torch.cat(group)].sum()) / total
            falling.append(Portion(share, partial(self._fall, targets, group, middle, risen)))
        yield falling[::-1]

    def _targets(self, vectors: torch.Tensor, n_below: int) -> _Targets:
        """Features but the first `n_below`, and logits."""
        sources, stream = self._sources, self._stream
        own = torch.arange(len(vectors), device=vectors.device)
        layers, positions, _ = sources.active[n_below:].unbind(1)
        return _Targets(
            torch.cat([torch.arange(n_below, sources.n_features, device=own.device), sources.n_columns + own]),
            torch.cat([layers, torch.full_like(own, stream.n_layers)]),
            torch.cat([positions, torch.full_like(own, len(sources.tokens) - 1)]),
            torch.cat([stream.read[n_below:], stream.at_end(vectors)]),
        )

    def _rise(self, upward: Upward, some: torch.Tensor, waiting: dict[int, Risen], number: int) -> list[Block]:
        waiting[number], effects = upward.risen(some)
        return self._of_columns(waiting[number], effects, upward.n_below)

    def _fall(self, targets: _Targets, group: list[torch.Tensor], middle: int, waiting: list[Risen]) -> list[Block]:
        """Rows of some batches, which meet the columns together."""
        targets_of = [targets.some(some) for some in group]
        ended = [self._down(one, end=middle) for one in targets_of]
        if waiting:
            gradient = _side_by_side([one.gradient for one in ended])
            for risen in waiting:
                risen.meet(gradient, [one.effects for one in ended])
        pairs = zip(targets_of, ended, strict=True)
        return [block for one, end in pairs for block in self._of_rows(one.rows, one.layers, end.rows)]

    def _of_rows(self, rows: torch.Tensor, layers: torch.Tensor, effects: torch.Tensor) -> list[Block]:
        """effects (n, n_columns); a layer's rows one after the other. They read features of layers below."""
        blocks, others = [], slice(self._sources.n_features, self._sources.n_columns)
        for layer, at in _runs(layers):
            below = slice(0, self._n_below[layer])
            blocks.append(Block(rows[at], below, effects[at, below]))
        return [*blocks, Block(rows, others, effects[:, others])]

    def _of_columns(self, risen: Risen, effects: torch.Tensor, n_rows: int) -> list[Block]:
        """effects (n_rows, n). What is written in a layer, features of layers above read."""
        blocks = []
        for layer, at in _runs(risen.layers):
            above = slice(self._n_below[layer + 1], n_rows)
            blocks.append(Block(above, risen.columns[at], effects[above, at]))
        return blocks

    def of_logits(self, vectors: torch.Tensor, handing_on: torch.Tensor | None = None) -> torch.Tensor:
        """(n, n_columns) of vectors (n, d_model) that read the last position behind the final norm.

        `handing_on` (n_features,) bool: features that hand on to what they read, so that the effects are those by all
        paths through them, with the set of active features held. None: no feature does, and the effects are direct.
        """
        return self._down(self._targets(vectors, self._sources.n_features), handing_on=handing_on).rows

    @property
    def batch_bytes(self) -> int:
        """What is on its way at once, about."""
        sources, device = self._sources, self._sources.tokens.device.type
        return on_the_way_bytes(
            sources.n_features,
            len(sources.tokens) - 1,
            self._stream.d_model,
            sources.n_columns,
            device=device,
            group=1 if is_small(self._stream, sources) else meeting(device),
            threads=cores_here() if self.side_by_side else 1,
        )

    def _down(self, targets: _Targets, *, end: int = 0, handing_on: torch.Tensor | None = None) -> _Ended:
        """Of targets whose highest layer comes first. They end where the features of layer `end` read, but below the
        tokens where that is 0."""
        stream, layers = self._stream, targets.layers
        effects = targets.vectors.new_zeros(self._sources.nowhere + 1, len(layers))
        going = _Going(layers, targets.positions, targets.vectors, stream.n_layers)
        going.begin(stream.n_layers)
        for layer in range(min(int(layers[0]), stream.n_layers - 1), end - 1, -1):
            if going.n:
                self._read(layer, going.gradient, effects[:, : going.n])
            skip = stream.skips[layer]
            skipped = None if skip is None else skip.back(going.gradient)
            if stream.parallel:
                self._through_attention(layer, going, effects)
            going.add(skipped)
            going.begin(layer)
            if handing_on is not None:
                self._hand_on(layer, going.gradient, effects, handing_on)
            if layer > end and not stream.parallel:
                self._through_attention(layer, going, effects)
        if not end:
            self._read_tokens(going, effects)
        return _Ended(effects, going.gradient)

    def _through_attention(self, layer: int, going: _Going, effects: torch.Tensor) -> None:
        found = going.down(self._stream.attention[layer], self._stream.first_values[layer])
        if found is not None:
            effects[self._sources.first_token, : going.n] += found

    def _read_tokens(self, going: _Going, effects: torch.Tensor) -> None:
        gradient, tokens, first = going.gradient, self._sources.tokens, self._sources.first_token
        n_pos = 1 + gradient.shape[1]
        found = effects[first : first + n_pos]
        found[1:] += torch.bmm(gradient.transpose(0, 1), tokens[1:n_pos, :, None])[..., 0]
        if not self._stream.parallel:
            # Below the last attention only the tokens are left: it is cheaper to take them up through it.
            at_values = self._stream.attention[0].to_values(gradient, going.n_spread, going.own)
            found += _by_values(at_values, self._stream.token_values[:, :n_pos])

    def _read(self, layer: int, gradient: torch.Tensor, effects: torch.Tensor) -> None:
        """Put the effects of what is written in the layer where they belong."""
        n_places = gradient.shape[1]
        found = torch.bmm(self._stream.added[layer][:n_places], gradient.permute(1, 2, 0)).flatten(0, 1)
        effects.index_add_(0, self._sources.written[layer].column[:n_places].flatten(), found)

    def _hand_on(self, layer: int, gradient: torch.Tensor, effects: torch.Tensor, handing_on: torch.Tensor) -> None:
        """Give what a layer's features have come to, for each unit of their activation, to what they read."""
        layers, positions, _ = self._sources.active.unbind(1)
        rows = ((layers == layer) & handing_on).nonzero()[:, 0]
        per_unit = effects[rows] / self._sources.activations[rows, None].float()
        counts = torch.bincount(positions[rows] - 1, minlength=gradient.shape[1]).tolist()  # rows go by position
        of_places = zip(per_unit.split(counts), self._stream.read[rows].split(counts), strict=True)
        for place, (own, encoders) in enumerate(of_places):
            gradient[:, place] += own.T @ encoders
