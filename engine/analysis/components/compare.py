"""How alike component circuits are, and what changed from one to the next.

Jaccard: of what either has, the share that both have; of two empty circuits 1. `input` and `logits` count as nodes.
`qkv`: whether the edges into a head's q, k and v count `apart`, or `merged` into one, as published figures count them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from engine.analysis.components.pruning import collapsed, node_mask
from engine.analysis.resampling import bootstrap_counts, interval
from engine.domain.components import Circuit, ComponentShape, Likeness
from engine.domain.errors import ComparisonRefused, InputError
from engine.domain.measures import Estimate

Qkv = Literal["apart", "merged"]
N_BOOT = 1000


@dataclass(frozen=True)
class Flip:
    """What became of the edges and nodes from one circuit to the next."""

    edges_appeared: int
    edges_vanished: int
    nodes_appeared: int
    nodes_vanished: int
    edge_jaccard: float
    node_jaccard: float


@dataclass(frozen=True)
class Flips:
    """Change over a series of circuits. Δ_S is the sum of all flips over the size of the first circuit (Wang et al.
    2025, arXiv 2502.11812), so it grows with the number of circuits; None where the first is empty."""

    steps: tuple[Flip, ...]
    delta_edges: float | None
    delta_nodes: float | None


def node_jaccard(a: Circuit, b: Circuit) -> float:
    """0 to 1. Raises ComparisonRefused for circuits of models of different shape."""
    _check_shapes([a, b])
    return _jaccard(node_mask(a), node_mask(b))


def edge_jaccard(a: Circuit, b: Circuit, *, qkv: Qkv = "apart") -> float:
    """0 to 1. Raises ComparisonRefused for circuits of models of different shape."""
    _check_shapes([a, b])
    return _jaccard(_edges(a, qkv), _edges(b, qkv))


def likeness(circuits: Sequence[Circuit], *, qkv: Qkv = "apart") -> Likeness:
    """Of all pairs of these circuits: mean Jaccard with a 95 % bootstrap interval.

    Circuits are redrawn, not pairs: two pairs that share a circuit do not tell independent things. Draws of one circuit
    alone say nothing and are left out. Raises InputError for fewer than two, ComparisonRefused for different shapes.
    """
    if len(circuits) < 2:
        raise InputError(f"Comparing circuits takes at least 2; there is {len(circuits)}.")
    _check_shapes(circuits)
    left, right = np.array(list(combinations(range(len(circuits)), 2))).T
    counts = bootstrap_counts(len(circuits), N_BOOT, 0)
    weights = counts[left] * counts[right]  # (n_pairs, n_boot)
    pairs = list(zip(left.tolist(), right.tolist(), strict=True))
    return _likeness(circuits, pairs, weights, qkv)


def paired_likeness(one: Sequence[Circuit], other: Sequence[Circuit], *, qkv: Qkv = "apart") -> Likeness:
    """Of the circuits at equal places: mean Jaccard with a 95 % bootstrap interval over places.

    Raises InputError for none or for sides of different length, ComparisonRefused for different shapes.
    """
    if not one or len(one) != len(other):
        raise InputError(
            f"{len(one)} circuits cannot be compared with {len(other)} one by one. Give equally many, at least one."
        )
    everything = [*one, *other]
    _check_shapes(everything)
    pairs = [(place, len(one) + place) for place in range(len(one))]
    return _likeness(everything, pairs, bootstrap_counts(len(one), N_BOOT, 0), qkv)


def flips(circuits: Sequence[Circuit], *, qkv: Qkv = "apart") -> Flips:
    """From each circuit to the next, in the order given; no steps and Δ_S 0 for a single one.

    Raises InputError for none, ComparisonRefused for different shapes.
    """
    if not circuits:
        raise InputError("There is no circuit to compare over checkpoints. Give at least one.")
    _check_shapes(circuits)
    edges, nodes = [_edges(one, qkv) for one in circuits], [node_mask(one) for one in circuits]
    steps = tuple(
        Flip(
            edges_appeared=int((e1 & ~e0).sum()),
            edges_vanished=int((e0 & ~e1).sum()),
            nodes_appeared=int((n1 & ~n0).sum()),
            nodes_vanished=int((n0 & ~n1).sum()),
            edge_jaccard=_jaccard(e0, e1),
            node_jaccard=_jaccard(n0, n1),
        )
        for (e0, e1), (n0, n1) in zip(pairwise(edges), pairwise(nodes), strict=True)
    )
    n_edges, n_nodes = int(edges[0].sum()), int(nodes[0].sum())
    return Flips(
        steps=steps,
        delta_edges=sum(one.edges_appeared + one.edges_vanished for one in steps) / n_edges if n_edges else None,
        delta_nodes=sum(one.nodes_appeared + one.nodes_vanished for one in steps) / n_nodes if n_nodes else None,
    )


def layer_change(before: np.ndarray, after: np.ndarray, shape: ComponentShape) -> np.ndarray:
    """(n_layers,) float64: |score after - score before| of every edge, summed into the layer of the edge's source.

    `before`, `after`: (n_inputs, n_sources), 0 for an edge that a side lacks. `input` is in no layer. Raises
    ComparisonRefused for scores of other shapes.
    """
    expected = (shape.n_inputs, shape.n_sources)
    if before.shape != expected or after.shape != expected:
        raise ComparisonRefused(
            f"Scores of shape {before.shape} and {after.shape} cannot be compared over edges of shape {expected}. Take "
            "two checkpoints of one model."
        )
    per_source = np.abs(after.astype(np.float64) - before.astype(np.float64)).sum(axis=0)
    per_layer: np.ndarray = per_source[1:].reshape(shape.n_layers, shape.n_heads + 1).sum(axis=1)
    return per_layer


def critical_layers(change: np.ndarray, k: int) -> tuple[int, ...]:
    """The k layers that changed most, ascending; of equal ones the first. `change`: of `layer_change`.

    Raises InputError where k is not 1 to the number of layers.
    """
    if not 1 <= k <= len(change):
        raise InputError(
            f"{k} critical layers were asked for, but the model has {len(change)} layers. Ask for 1 to {len(change)}."
        )
    return tuple(sorted(np.argsort(-change, kind="stable")[:k].tolist()))


def _likeness(circuits: Sequence[Circuit], pairs: Sequence[tuple[int, int]], weights: np.ndarray, qkv: Qkv) -> Likeness:
    """`weights`: (n_pairs, n_boot), how much each pair counts in every resample."""
    edges, nodes = [_edges(one, qkv) for one in circuits], [node_mask(one) for one in circuits]
    return Likeness(
        nodes=_mean(lambda i, j: _jaccard(nodes[i], nodes[j]), pairs, weights),
        edges=_mean(lambda i, j: _jaccard(edges[i], edges[j]), pairs, weights),
        n=len(pairs),
    )


def _mean(of: Callable[[int, int], float], pairs: Sequence[tuple[int, int]], weights: np.ndarray) -> Estimate:
    values = np.array([of(i, j) for i, j in pairs])
    total = weights.sum(axis=0)
    said = total > 0
    value = float(values.mean())
    low, high = interval(value, (values @ weights)[said] / total[said])
    return Estimate(value=value, low=low, high=high)


def _edges(circuit: Circuit, qkv: Qkv) -> np.ndarray:
    return circuit.edges if qkv == "apart" else collapsed(circuit)


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def _check_shapes(circuits: Sequence[Circuit]) -> None:
    for one in circuits[1:]:
        if one.shape != circuits[0].shape:
            raise ComparisonRefused(
                f"A circuit of {circuits[0].shape.n_layers} layers with {circuits[0].shape.n_heads} heads and one of "
                f"{one.shape.n_layers} layers with {one.shape.n_heads} heads cannot be compared, nor sequential with "
                "parallel layers. Take circuits of one model."
            )
