"""At which layer targets that go down and sources that go up meet at the least cost.

Rows alone pass every attention below them. Where every active feature is a node there are as many columns as rows:
targets above a middle go down to it, what is written below goes up to it, and either passes half as many attentions.
One product at the middle has the effects of every pair of them, and features below it read what passes them on its way
up.
"""

from dataclasses import dataclass

import torch

from engine.attribution.held_stream import HeldStream
from engine.attribution.sources import Sources

_WORTH = 4e9  # multiplications, at most: a graph of less is done before a second way has begun


def is_small(stream: HeldStream, sources: Sources) -> bool:
    return sources.n_features * stream.n_layers * len(sources.tokens) * _passing(stream) < _WORTH


def _passing(stream: HeldStream) -> int:
    """Multiplications of a position that passes an attention."""
    attention = stream.attention[0]
    return attention.values.numel() + attention.outputs.numel()


@dataclass(frozen=True)
class Middle:
    layer: int  # the layer whose features read there; 0: rows go all the way down, and no column goes up
    n_bytes: int  # of what waits there


def best_middle(stream: HeldStream, sources: Sources, n_logits: int, room: float) -> Middle:
    """Of a graph whose every feature is a node. `room`: bytes that may wait there."""
    n_layers, n_pos, d_model = stream.n_layers, len(sources.tokens), stream.d_model
    of_one = _passing(stream)
    if is_small(stream, sources):
        return Middle(0, 0)
    layers, positions, _ = sources.active.cpu().unbind(1)
    features = torch.bincount(layers * n_pos + positions, minlength=n_layers * n_pos).view(n_layers, n_pos).double()
    place = torch.arange(n_pos, dtype=torch.float64)
    # (n_layers, n_pos): how many rows come to a layer on their way down, and how many columns on their way up.
    rows = features.flip(0).cumsum(0).flip(0)
    rows[:, -1] += n_logits
    errors = (place > 0).double()
    columns = torch.cat([torch.ones(1, n_pos, dtype=torch.float64), features[:-1] + errors]).cumsum(0)
    # (n_layers,) positions that pass attentions: of rows from the top down to and with a layer's, of columns up to it.
    down = (rows @ place).flip(0).cumsum(0).flip(0)
    up = (columns @ (n_pos - place)).cumsum(0)
    # A position that is shared in the product counts as its part of one that passes an attention.
    shared = columns.cumsum(1).cumsum(1)  # by a row at each position, with all columns together
    met = (rows * shared).sum(1) * d_model / of_one
    cost = torch.cat([down[1:], down.new_zeros(1)]) + up + met
    n_bytes = 4 * d_model * (columns @ (n_pos - place))
    cost[0] = down[0]
    cost[n_bytes > room] = torch.inf
    layer = int(cost.argmin())
    return Middle(layer, int(n_bytes[layer]) if layer else 0)
