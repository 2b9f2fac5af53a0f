"""Mean circuits of many prompts, under several weightings at once.

A *type circuit* is the mean of its prompts' circuits (`engine.analysis.circuits`): of the influence of nodes and of
the signed shares of edges; what a prompt does not have counts as 0. A node or edge *belongs* to it where at least a
quarter of the prompts (at least one) keep it. A weighting says how often each prompt counts: once each, half of them,
or as a bootstrap draws them. All weightings of one checkpoint are one sparse product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from engine.analysis.circuits import PromptCircuit
from engine.domain.errors import ComparisonRefused

_BLOCK = 256  # rows: of 200 weightings, 0.4 MB
RECURRING = 0.25  # the share of the prompts that must keep what belongs to the circuit


@dataclass(frozen=True, eq=False)
class Means:
    """Nodes or edges of mean circuits, a column a weighting."""

    keys: np.ndarray  # (n_keys,) int64 ascending
    values: np.ndarray  # (n_keys, n_means)
    members: np.ndarray  # (n_keys, n_means) bool

    @cached_property
    def size(self) -> np.ndarray:
        """(n_means,) the sum of the absolute values."""
        return _absolute_sum(self.values, np.arange(len(self.keys)))

    @cached_property
    def count(self) -> np.ndarray:
        """(n_means,) how many belong."""
        return np.count_nonzero(self.members, axis=0)


@dataclass(frozen=True, eq=False)
class MeansPair:
    """The same nodes or edges at two checkpoints (or of two groups of prompts), weighting by weighting."""

    a: Means
    b: Means

    @cached_property
    def shared(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of what both have, in a and in b."""
        _, row_a, row_b = np.intersect1d(self.a.keys, self.b.keys, assume_unique=True, return_indices=True)
        return row_a, row_b

    def value_change(self) -> np.ndarray:
        """(n_means,) one minus the weighted Jaccard of the values, positive and negative parts apart.

        In each place the smaller parts sum to (|a| + |b| - |a - b|) / 2 and the larger to (|a| + |b| + |a - b|) / 2,
        whatever the signs. So the change is 2 |a - b| / (|a| + |b| + |a - b|), each a sum over all places.
        """
        row_a, row_b = self.shared
        apart = _absolute_sum(self.a.values, row_a, minus=(self.b.values, row_b))
        for side, row in ((self.a, row_a), (self.b, row_b)):
            apart += _absolute_sum(side.values, np.delete(np.arange(len(side.keys)), row))
        both = self.a.size + self.b.size + apart
        return np.clip(np.divide(2 * apart, both, out=np.zeros(len(both)), where=both > 0), 0, 1)

    def member_change(self) -> np.ndarray:
        """(n_means,) one minus the Jaccard of what belongs."""
        row_a, row_b = self.shared
        both = np.count_nonzero(self.a.members[row_a] & self.b.members[row_b], axis=0)
        either = self.a.count + self.b.count - both
        return 1 - np.divide(both, either, out=np.ones(len(either)), where=either > 0)


@dataclass(frozen=True, eq=False)
class MeanCircuits:
    """Mean circuits of the same prompts, a column a weighting."""

    nodes: Means
    edges: Means


@dataclass(frozen=True, eq=False)
class CircuitPair:
    """What a measure of change compares: two times as many mean circuits as weightings."""

    nodes: MeansPair
    edges: MeansPair

    @classmethod
    def of(cls, a: MeanCircuits, b: MeanCircuits) -> "CircuitPair":
        return cls(MeansPair(a.nodes, b.nodes), MeansPair(a.edges, b.edges))


@dataclass(frozen=True, eq=False)
class _Rows:
    """A value for each key and prompt, 0 where the prompt has none."""

    keys: np.ndarray  # (n_keys,) int64 ascending
    values: csr_array  # (n_keys, n_prompts)
    there: csr_array  # (n_keys, n_prompts) 1 where the prompt keeps it

    @classmethod
    def of(cls, keys: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> "_Rows":
        """One array of keys and one of values a prompt."""
        union, row = np.unique(np.concatenate(keys), return_inverse=True)
        column = np.repeat(np.arange(len(keys)), [len(own) for own in keys])
        shape = (len(union), len(keys))
        data = np.concatenate(values)
        return cls(
            union, csr_array((data, (row, column)), shape), csr_array((np.ones(len(data)), (row, column)), shape)
        )

    def means(self, counts: np.ndarray) -> Means:
        n = counts.sum(axis=0)
        least = np.maximum(1, np.ceil(RECURRING * n - 1e-9))
        weights = counts.astype(np.float64)
        return Means(self.keys, self.values @ (weights / n), self.there @ weights >= least)


@dataclass(frozen=True, eq=False)
class CircuitStack:
    """The circuits of several prompts on one axis of nodes and one of edges."""

    nodes: _Rows
    edges: _Rows

    @classmethod
    def of(cls, circuits: Sequence[PromptCircuit], axis: np.ndarray) -> "CircuitStack":
        """`axis`: from `node_axis`, of these and of all that they are to be compared with."""
        rows = [np.searchsorted(axis, one.nodes) for one in circuits]
        edges = [own[one.source] * len(axis) + own[one.target] for own, one in zip(rows, circuits, strict=True)]
        return cls(
            nodes=_Rows.of(rows, [one.influence for one in circuits]),
            edges=_Rows.of(edges, [one.share for one in circuits]),
        )

    def means(self, counts: np.ndarray) -> MeanCircuits:
        """`counts`: (n_prompts, n_means) int, how often each prompt counts; no column may be 0 altogether."""
        return MeanCircuits(nodes=self.nodes.means(counts), edges=self.edges.means(counts))


def node_axis(circuits: Sequence[PromptCircuit]) -> np.ndarray:
    """(n_keys,) all nodes that any has, ascending. Raises ComparisonRefused where models differ in depth."""
    depths = sorted({one.n_layers for one in circuits})
    if len(depths) > 1:
        raise ComparisonRefused(
            f"The circuits are of models with {' and '.join(map(str, depths))} layers. Compare checkpoints of one "
            "base model."
        )
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(one.nodes for one in circuits)]))


def by_probe(circuits: Sequence[PromptCircuit]) -> list[PromptCircuit]:
    """In an order that does not depend on the given one: the same prompts give the same figures, to the bit."""
    return sorted(circuits, key=lambda one: (one.probe.id, one.probe.text))


def _absolute_sum(
    values: np.ndarray, rows: np.ndarray, *, minus: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """(n_means,) the sum of |values[rows]|, or of |values[rows] - other[other_rows]|; (n_keys, n_means) each.

    In blocks that stay in the cache: three times as fast as one sweep that makes an array of all.
    """
    total = np.zeros(values.shape[1])
    for start in range(0, len(rows), _BLOCK):
        block = values[rows[start : start + _BLOCK]]
        if minus:
            block -= minus[0][minus[1][start : start + _BLOCK]]
        total += np.abs(block, out=block).sum(axis=0)
    return total
