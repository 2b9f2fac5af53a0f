"""Influence, scores and the strongest edges of a dense graph, a block of rows at a time and on the graph's device.

The measures are circuit-tracer's (`compute_node_influence`, `compute_graph_scores`, 0.5). There every step of the power
series reads a normalised copy of the matrix; here one pass over the rows from the outputs downwards does, as no node
reads from its own layer or a later one, and nothing of the matrix's size is made beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from engine.domain.graphs import Fit

_NUMBERS = 2**22  # of a block of rows
_AT_ONCE = 2  # times as many edges as are wanted, before the weakest are let go
_TINY = 1e-10  # circuit-tracer's guard for a node without inputs


@dataclass(frozen=True, eq=False)
class Edges:
    """Ordered by target and then by source."""

    source: torch.Tensor  # (n_edges,) int64
    target: torch.Tensor
    weight: torch.Tensor


class DenseGraph:
    """rows: (n_nodes, n_nodes) float32, targets by sources; in order features by layer, errors, tokens, logits.

    `layers` are the rows of each layer's features, ascending, `logits` those of the outputs.
    """

    def __init__(
        self, rows: torch.Tensor, feature_layers: torch.Tensor, n_errors: int, probabilities: torch.Tensor
    ) -> None:
        self.rows = rows
        n, n_features, n_logits = len(rows), len(feature_layers), len(probabilities)
        self._errors = slice(n_features, n_features + n_errors)
        self._tokens = slice(n_features + n_errors, n - n_logits)
        ends = [0, *(feature_layers.diff().nonzero()[:, 0] + 1).tolist(), n_features]
        self.layers = [slice(start, end) for start, end in pairwise(ends) if start < end]
        self.logits = slice(n - n_logits, n)
        self.influence = torch.zeros(n, dtype=torch.float64, device=rows.device)
        self.inputs = torch.zeros(n, device=rows.device)  # summed |weight| into each row
        self._through = torch.zeros(n, device=rows.device)  # output influence of each target by its summed inputs
        self._by_errors = torch.zeros(n, dtype=torch.float64, device=rows.device)  # share of the inputs
        self.n_edges = 0
        self._weights = torch.zeros_like(self.influence)  # of the logits; 0 elsewhere
        self._weights[self.logits] = probabilities.double()
        for layer in (self.logits, *reversed(self.layers)):
            self._follow(layer)

    def _follow(self, layer: slice) -> None:
        """Give the influence of a layer's nodes, which is whole by now, to what they read."""
        features, others = self.read_by(layer)
        n_errors = self._errors.stop - self._errors.start
        for rows in blocks(layer, len(self.rows)):
            by_features, by_others = self.rows[rows, features].abs(), self.rows[rows, others].abs()
            self.inputs[rows] = inputs = by_features.sum(1) + by_others.sum(1)
            inputs = inputs.double().clamp(min=_TINY)
            self._through[rows] = through = ((self.influence[rows] + self._weights[rows]) / inputs).float()
            self._by_errors[rows] = by_others[:, :n_errors].sum(1).double() / inputs
            for columns, sizes in ((features, by_features), (others, by_others)):
                self.influence[columns] += (sizes.T @ through).double()
                self.n_edges += int(sizes.count_nonzero())

    def read_by(self, layer: slice) -> tuple[slice, slice]:
        """The columns that rows of a layer can have anything in: features of layers below, and all other nodes."""
        return slice(0, min(layer.start, self._errors.start)), slice(self._errors.start, len(self.rows))

    def fit(self, unexplained_variance: float | None) -> Fit:
        """The scores; 0 where nothing leads to an output."""
        output = self.influence + self._weights
        tokens, errors = float(self.influence[self._tokens].sum()), float(self.influence[self._errors].sum())
        total, all_output = float(self.influence.sum()), float(output.sum())
        return Fit(
            replacement=tokens / (tokens + errors) if tokens + errors else 0.0,
            completeness=float(((1 - self._by_errors) * output).sum()) / all_output if all_output else 0.0,
            error_share=errors / total if total else 0.0,
            unexplained_variance=unexplained_variance,
        )

    def edges_between(self, nodes: torch.Tensor) -> Edges:
        """All edges with both ends in `nodes` (n_nodes,) bool."""
        found = []
        for rows in blocks(slice(0, len(self.rows)), len(self.rows)):
            target = nodes[rows].nonzero()[:, 0] + rows.start
            row, source = (self.rows[target].ne(0) & nodes).nonzero().unbind(1)
            found.append((source, target[row]))
        source, target = (torch.cat(column) for column in zip(*found, strict=True))
        return Edges(source, target, self.rows[target, source])

    def strongest_between(self, nodes: torch.Tensor, share: float) -> Edges:
        """Of the edges between `nodes` (n_nodes,) bool those of most influence on the output, in the graph that these
        nodes and edges are alone: as many as make up `share` of the summed influence of all, as circuit-tracer's
        `prune_graph` cuts edges."""
        edges = self.edges_between(nodes)
        influence = edges.weight.abs().double() * self._through_between(nodes)[edges.target]
        ranked = influence.sort(descending=True).values.cpu()
        summed = ranked.cumsum(0)  # not on a GPU, where it has other bits each time
        if not len(summed) or not summed[-1] > 0:
            return edges
        place = int(torch.searchsorted(summed / summed[-1], share))
        kept = influence >= float(ranked[min(place, len(ranked) - 1)])
        return Edges(edges.source[kept], edges.target[kept], edges.weight[kept])

    def _through_between(self, nodes: torch.Tensor) -> torch.Tensor:
        """(n_nodes,) float64: `_through` where there are only `nodes` and the edges between them."""
        through, output = torch.zeros_like(self._weights), self._weights.clone()
        kept = nodes.nonzero()[:, 0]
        for layer in (self.logits, *reversed(self.layers)):
            found = output.new_zeros(len(kept))
            for rows in blocks(layer, len(self.rows)):
                target = nodes[rows].nonzero()[:, 0] + rows.start
                sizes = self.rows[target][:, kept].abs().double()
                through[target] = shares = output[target] / sizes.sum(1).clamp(min=_TINY)
                found += sizes.T @ shares
            output[kept] += found
        return through

    def edges(self, most: int, always: torch.Tensor) -> Edges:
        """All that are not 0. Of more than `most` those in `always`, and those that contribute most to the output.

        `always`: ascending places (target x n_nodes + source) of edges that are kept, however many. Of the demo's
        100,000 edges the 25,000 that contribute most leave every contribution where it was to 0.001; the 25,000
        largest by |weight| are off by up to 0.02.
        """
        if self.n_edges <= most:
            n = len(self.rows)
            found = [_places(self.rows[rows] != 0).add_(rows.start * n) for rows in blocks(slice(0, n), n)]
            places = found[0] if len(found) == 1 else torch.cat(found)
        else:
            places = self._strongest(max(most, len(always)), always)
        return self._at(places)

    def _at(self, places: torch.Tensor) -> Edges:
        """Of ascending places in the matrix taken as one row, which are written over."""
        n = len(self.rows)
        counts = torch.searchsorted(places, torch.arange(n + 1, device=places.device) * n).diff()
        target = torch.repeat_interleave(counts, output_size=len(places))  # cheaper than dividing
        weight = self.rows.flatten().index_select(0, places)
        return Edges(places.sub_(target, alpha=n), target, weight)

    def _strongest(self, most: int, always: torch.Tensor) -> torch.Tensor:
        """Ascending places in the matrix taken as one row."""
        n, least = len(self.rows), None
        places, contributions = list[torch.Tensor](), list[torch.Tensor]()
        for rows, columns in self._parts():
            weights = self.rows[rows, columns]
            found = (weights.abs() * self._through[rows, None]).flatten()
            # Once there are enough, only what contributes more than the least of them is looked at.
            here = _places(weights != 0 if least is None else found > least)
            contributions.append(found.index_select(0, here))
            width = columns.stop - columns.start
            row = torch.div(here, width, rounding_mode="floor")
            # A row of the matrix is longer than one of this part of it.
            places.append(here + row * (n - width) + (rows.start * n + columns.start))
            if sum(map(len, places)) > _AT_ONCE * most:
                there, sizes = torch.cat(places), torch.cat(contributions)
                kept = _largest(sizes, most)
                places, contributions = [there[kept]], [sizes[kept]]
                least = float(contributions[0].min())
        there, sizes = torch.cat(places), torch.cat(contributions)
        others = _places(~torch.isin(there, always, assume_unique=True))
        others = others[_largest(sizes[others], most - len(always))]
        return torch.cat([always, there[others]]).sort().values

    def _parts(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of all that can be anything, not much at a time."""
        for layer in (*self.layers, self.logits):
            for columns in self.read_by(layer):
                for rows in blocks(layer, columns.stop - columns.start):
                    yield rows, columns


def blocks(rows: slice, width: int) -> Iterator[slice]:
    step = max(1, _NUMBERS // max(1, width))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))


def _places(mask: torch.Tensor) -> torch.Tensor:
    """(n,) int64, ascending, of what is true in a mask taken as one row."""
    if mask.device.type == "cpu":  # where numpy takes a third of torch's time
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def _largest(values: torch.Tensor, n: int) -> torch.Tensor:
    """Places of the `n` largest values, ascending, all where there are no more; of equals the first."""
    if len(values) <= n:
        return torch.arange(len(values), device=values.device)
    if not n:
        return values.new_zeros(0, dtype=torch.int64)
    if values.device.type == "cpu":  # where numpy takes a tenth of torch's time
        least = torch.from_numpy(np.partition(values.numpy(), len(values) - n))[-n]
    else:
        least = values.topk(n, sorted=False).values.min()
    chosen, equal = values > least, (values == least).nonzero()[:, 0]
    chosen[equal[: n - int(chosen.count_nonzero())]] = True
    return _places(chosen)
