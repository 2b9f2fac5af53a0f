"""Mean circuits of many prompts, under several weightings at once.

A *type circuit* is the mean of its prompts' circuits: of the influence of nodes and of the signed shares of edges;
what a prompt does not have counts as 0. A node or edge *belongs* to it where at least a quarter of the prompts (at
least one) keep it. A weighting says how often each prompt counts: once each, half of them, or as a bootstrap draws
them. All weightings of one checkpoint are one sparse product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from engine.analysis.prompt_circuits import PromptCircuit
from engine.domain.errors import ComparisonRefused

SEVERAL = -1  # no single prompt
_BLOCK = 256  # rows: of 200 weightings, 0.4 MB
RECURRING = 0.25  # the share of the prompts that must keep what belongs to the circuit


Places = tuple[np.ndarray, np.ndarray]  # of the same keys, in a and in b


@dataclass(frozen=True, eq=False)
class Means:
    """Nodes or edges of mean circuits, a column a weighting.

    Most of them only one prompt has. Such a one's mean is its value times the prompt's weight, and many of one prompt
    add up before they are weighted: so a row for each weighting is kept only of what several prompts have.
    """

    keys: np.ndarray  # (n_keys,) int64 ascending
    prompt: np.ndarray  # (n_keys,) the only prompt that has it; SEVERAL
    value: np.ndarray  # (n_keys,) what it is there; 0 for several
    row: np.ndarray  # (n_keys,) of several: their row in `values` and `members`; 0 for one
    values: np.ndarray  # (n_several, n_means)
    members: np.ndarray  # (n_several, n_means) bool
    weights: np.ndarray  # (n_prompts, n_means) sum 1
    belongs: np.ndarray  # (n_prompts, n_means) bool: whether what this prompt alone has belongs

    @cached_property
    def size(self) -> np.ndarray:
        """(n_means,) the sum of the absolute values."""
        return self.sum_of(np.arange(len(self.keys)))

    @cached_property
    def count(self) -> np.ndarray:
        """(n_means,) how many belong."""
        alone = np.bincount(self.prompt[self.prompt != SEVERAL], minlength=len(self.weights))
        return alone @ self.belongs + np.count_nonzero(self.members, axis=0)

    def sum_of(self, places: np.ndarray) -> np.ndarray:
        """(n_means,) the sum of the absolute values of the keys at `places`."""
        prompt = self.prompt[places]
        alone = prompt != SEVERAL
        total = np.bincount(prompt[alone], np.abs(self.value[places[alone]]), minlength=len(self.weights))
        return total @ self.weights + _absolute_sum(self.values, self.row[places[~alone]])

    def values_at(self, places: np.ndarray) -> np.ndarray:
        """(n_places, n_means) of keys of one prompt or of several."""
        prompt, several = self.prompt[places], self.prompt[places] == SEVERAL
        values = self.weights[prompt]
        values *= self.value[places][:, None]
        values[several] = self.values[self.row[places[several]]]
        return values

    def members_at(self, places: np.ndarray) -> np.ndarray:
        """(n_places, n_means) bool, of keys of one prompt or of several."""
        prompt, several = self.prompt[places], self.prompt[places] == SEVERAL
        members = self.belongs[prompt]
        members[several] = self.members[self.row[places[several]]]
        return members


@dataclass(frozen=True, eq=False)
class MeansPair:
    """The same nodes or edges at two checkpoints, weighted alike; or of one checkpoint, weighted in two ways."""

    a: Means
    b: Means

    @cached_property
    def shared(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of what both have, in a and in b."""
        if self.a.keys is self.b.keys:
            return (np.arange(len(self.a.keys)),) * 2
        _, in_a, in_b = np.intersect1d(self.a.keys, self.b.keys, assume_unique=True, return_indices=True)
        return in_a, in_b

    @cached_property
    def groups(self) -> tuple[Places, Places, Places]:
        """`shared` in three: of one prompt, the same in both; of several in both; of several, or another, in one."""
        in_a, in_b = self.shared
        one, other = self.a.prompt[in_a], self.b.prompt[in_b]
        same, several = one == other, one == SEVERAL
        kinds = (same & ~several, same & several, ~same)
        first, second, third = ((in_a[kind], in_b[kind]) for kind in kinds)
        return first, second, third

    def value_change(self) -> np.ndarray:
        """(n_means,) one minus the weighted Jaccard of the values, positive and negative parts apart.

        In each place the smaller parts sum to (|a| + |b| - |a - b|) / 2 and the larger to (|a| + |b| + |a - b|) / 2,
        whatever the signs. So the change is 2 |a - b| / (|a| + |b| + |a - b|), each a sum over all places.
        """
        alone, several, mixed = self.groups
        apart = self._apart_alone(*alone) + _absolute_sum(
            self.a.values, self.a.row[several[0]], minus=(self.b.values, self.b.row[several[1]])
        )
        apart += np.abs(self.a.values_at(mixed[0]) - self.b.values_at(mixed[1])).sum(axis=0)
        for side, places in zip((self.a, self.b), self.shared, strict=True):
            apart += side.sum_of(np.delete(np.arange(len(side.keys)), places))
        both = self.a.size + self.b.size + apart
        return np.clip(np.divide(2 * apart, both, out=np.zeros(len(both)), where=both > 0), 0, 1)

    def member_change(self) -> np.ndarray:
        """(n_means,) one minus the Jaccard of what belongs."""
        alone, several, mixed = self.groups
        n_alone = np.bincount(self.a.prompt[alone[0]], minlength=len(self.a.weights))
        both = n_alone @ (self.a.belongs & self.b.belongs)
        both = both + np.count_nonzero(
            self.a.members[self.a.row[several[0]]] & self.b.members[self.b.row[several[1]]], axis=0
        )
        both += np.count_nonzero(self.a.members_at(mixed[0]) & self.b.members_at(mixed[1]), axis=0)
        either = self.a.count + self.b.count - both
        return 1 - np.divide(both, either, out=np.ones(len(either)), where=either > 0)

    def _apart_alone(self, in_a: np.ndarray, in_b: np.ndarray) -> np.ndarray:
        """(n_means,) the sum of |a - b| over what one prompt has, the same one in both."""
        x, y = self.a.value[in_a], self.b.value[in_b]
        alike = self.a.weights is self.b.weights
        assert alike or np.array_equal(x, y)
        weights = self.a.weights if alike else np.abs(self.a.weights - self.b.weights)
        total = np.bincount(self.a.prompt[in_a], np.abs(x - y) if alike else np.abs(x), minlength=len(weights))
        return total @ weights


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
class Weighting:
    """How often each prompt counts, a column a weighting; one for all that is to be compared column by column."""

    counts: np.ndarray  # (n_prompts, n_means)

    @cached_property
    def weights(self) -> np.ndarray:
        """(n_prompts, n_means) sum 1 in each column."""
        return self.counts / self.counts.sum(axis=0)

    @cached_property
    def least(self) -> np.ndarray:
        """(n_means,) how many prompts must keep what belongs."""
        return np.maximum(1, np.ceil(RECURRING * self.counts.sum(axis=0) - 1e-9))

    @cached_property
    def belongs(self) -> np.ndarray:
        """(n_prompts, n_means) bool: what this prompt alone keeps."""
        return self.counts >= self.least


@dataclass(frozen=True, eq=False)
class _Rows:
    """What each key is in each prompt that has it."""

    keys: np.ndarray  # (n_keys,) int64 ascending
    prompt: np.ndarray  # (n_keys,) as of `Means`, and the next two
    value: np.ndarray
    row: np.ndarray
    several: csr_array  # (n_several, n_prompts) values
    there: csr_array  # (n_several, n_prompts) 1 where the prompt keeps it

    @classmethod
    def of(
        cls, keys: Sequence[np.ndarray], values: Sequence[np.ndarray], prompts: np.ndarray, n_prompts: int
    ) -> "_Rows":
        """One array of keys and one of values for each of `prompts` (rows of a `Weighting`)."""
        union, place, n = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
        column = np.repeat(prompts, [len(own) for own in keys])
        data = np.concatenate(values)
        many = n > 1
        row = np.cumsum(many) - 1
        prompt, value = np.full(len(union), SEVERAL), np.zeros(len(union))
        alone = ~many[place]
        prompt[place[alone]], value[place[alone]] = column[alone], data[alone]
        cells = (row[place[~alone]], column[~alone])
        shape = (int(many.sum()), n_prompts)
        there = csr_array((np.ones(len(cells[0])), cells), shape)
        return cls(union, prompt, value, np.where(many, row, 0), csr_array((data[~alone], cells), shape), there)

    def means(self, by: Weighting) -> Means:
        return Means(
            keys=self.keys,
            prompt=self.prompt,
            value=self.value,
            row=self.row,
            values=self.several @ by.weights,
            members=self.there @ by.counts.astype(np.float64) >= by.least,
            weights=by.weights,
            belongs=by.belongs,
        )


@dataclass(frozen=True, eq=False)
class CircuitStack:
    """The circuits of several prompts on one axis of nodes and one of edges."""

    nodes: _Rows
    edges: _Rows
    rows: np.ndarray  # (n_circuits,) the row of each one's prompt in a `Weighting`
    n_prompts: int

    @classmethod
    def of(
        cls, circuits: Sequence[PromptCircuit], axis: np.ndarray, prompts: Sequence[str] | None = None
    ) -> "CircuitStack":
        """`axis`: from `node_axis`, of these and of all that they are to be compared with; `prompts`: ids of the
        probes of all those, in the order of a `Weighting`; without it these circuits' own."""
        ids = [one.probe.id for one in circuits]
        number = {name: row for row, name in enumerate(ids if prompts is None else prompts)}
        rows = np.arange(len(ids)) if prompts is None else np.array([number[name] for name in ids], dtype=np.int64)
        n_prompts = len(ids if prompts is None else prompts)
        own = [np.searchsorted(axis, one.nodes) for one in circuits]
        edges = [row[one.source] * len(axis) + row[one.target] for row, one in zip(own, circuits, strict=True)]
        return cls(
            nodes=_Rows.of(own, [one.influence for one in circuits], rows, n_prompts),
            edges=_Rows.of(edges, [one.share for one in circuits], rows, n_prompts),
            rows=rows,
            n_prompts=n_prompts,
        )

    def means(self, by: Weighting) -> MeanCircuits:
        """No column of `by` may be 0 altogether."""
        return MeanCircuits(nodes=self.nodes.means(by), edges=self.edges.means(by))


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
