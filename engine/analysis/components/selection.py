"""Which edges make a circuit: those with the largest scores, whatever their sign."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.analysis.components.pruning import owner_of_input, pruned
from engine.domain.components import Circuit, ComponentShape
from engine.domain.errors import InputError

How = str  # a key of EDGE_RULES


@dataclass(frozen=True)
class EdgeRule:
    """A way to choose edges by their scores, before pruning."""

    label: str
    explanation: str
    largest: Callable[[np.ndarray, ComponentShape, int], Circuit]  # so many edges
    above: Callable[[np.ndarray, ComponentShape, float], Circuit]  # those whose |score| is as large or larger


def select(
    scores: np.ndarray,
    shape: ComponentShape,
    *,
    n: int | None = None,
    share: float | None = None,
    threshold: float | None = None,
    how: How = "top",
) -> Circuit:
    """The circuit of the `n` edges (or this share of all, or those with |score| >= `threshold`), already pruned.

    scores: (n_inputs, n_sources), signed. `how`: a key of EDGE_RULES. What is left after pruning may be smaller than
    asked for.

    Raises InputError where not exactly one size is given, for more edges than there are, for scores that are not
    finite, and where pruning leaves nothing.
    """
    if sum(size is not None for size in (n, share, threshold)) != 1:
        raise InputError(
            f"Give one size of the circuit: n, share or threshold; given were n={n}, share={share}, "
            f"threshold={threshold}."
        )
    rule = edge_rule(how)
    if threshold is not None:
        chosen = rule.above(scores, shape, threshold)
    else:
        n = n_of_share(shape, share) if n is None and share is not None else n
        assert n is not None
        chosen = rule.largest(scores, shape, n)
    circuit = pruned(chosen)
    if not circuit.n_edges:
        size = f"|score| >= {threshold:g}" if threshold is not None else "those with the largest |score|"
        others = " or ".join(name for name in EDGE_RULES if name != how)
        raise InputError(
            f"The circuit is empty: {chosen.n_edges} of {shape.n_edges} edges were chosen ({size}), and none of them "
            f"lies on a path from the input to the logits. Ask for more edges, or choose them another way ({others})."
        )
    return circuit


def top_edges(scores: np.ndarray, shape: ComponentShape, n: int) -> Circuit:
    """The n edges with the largest |score|, not pruned; of equal ones the first by input, then source.

    Raises InputError where n is not 1 to the number of edges.
    """
    _check_n(n, shape)
    places = np.flatnonzero(shape.edge_mask())
    order = np.argsort(-_sizes(scores, shape).ravel()[places], kind="stable")[:n]
    edges = np.zeros(shape.n_inputs * shape.n_sources, dtype=bool)
    edges[places[order]] = True
    return Circuit(shape, edges.reshape(shape.n_inputs, shape.n_sources))


def greedy_edges(scores: np.ndarray, shape: ComponentShape, n: int) -> Circuit:
    """n edges from the logits upward, not pruned (Hanna et al. 2024): always the edge of the largest |score| of those
    into nodes that are already in; it brings its source in, with all that enters it.

    Raises InputError where n is not 1 to the number of edges.
    """
    _check_n(n, shape)
    return _grown(_sizes(scores, shape), shape, n)


def n_of_share(shape: ComponentShape, share: float) -> int:
    """How many edges a share of all is, at least 1. Raises InputError where it is not above 0 and at most 1."""
    if not 0 < share <= 1:
        raise InputError(f"A circuit's share of all edges must be above 0 and at most 1, not {share:g}.")
    return max(1, math.floor(share * shape.n_edges + 0.5))


def edge_rule(how: How) -> EdgeRule:
    """Raises InputError where there is none of this name."""
    if how not in EDGE_RULES:
        raise InputError(f"“{how[:40]}” is not a way to choose edges. Choose one of {', '.join(EDGE_RULES)}.")
    return EDGE_RULES[how]


def _top_above(scores: np.ndarray, shape: ComponentShape, threshold: float) -> Circuit:
    return Circuit(shape, _large(scores, shape, threshold))


def _greedy_above(scores: np.ndarray, shape: ComponentShape, threshold: float) -> Circuit:
    """Grown until no edge of this size is within reach."""
    large = _large(scores, shape, threshold)
    return _grown(np.where(large, _sizes(scores, shape), -1.0), shape, int(large.sum()))


def _large(scores: np.ndarray, shape: ComponentShape, threshold: float) -> np.ndarray:
    if not threshold > 0:
        raise InputError(f"The threshold of a circuit's edges must be above 0, not {threshold:g}.")
    mask: np.ndarray = shape.edge_mask() & (_sizes(scores, shape) >= threshold)
    return mask


def _grown(sizes: np.ndarray, shape: ComponentShape, n: int) -> Circuit:
    """At most n edges; where a size is below 0 there is none.

    Every input that is in offers its best edge that is not: so the heap holds one entry an input, not one an edge.
    """
    sizes = np.where(shape.edge_mask(), sizes, -1.0)
    inputs_of = [np.flatnonzero(owner_of_input(shape) == node) for node in range(shape.n_nodes)]
    edges = np.zeros(sizes.shape, dtype=bool)
    ranked: dict[int, np.ndarray] = {}
    heap: list[tuple[float, int, int, int]] = []  # -|score|, input, source, place in the input's ranking

    def offer(row: int, place: int) -> None:
        source = int(ranked[row][place]) if place < len(ranked[row]) else -1
        if source >= 0 and sizes[row, source] >= 0:
            heapq.heappush(heap, (-float(sizes[row, source]), row, source, place))

    def bring_in(node: int) -> None:
        for row in inputs_of[node].tolist():
            ranked[row] = np.argsort(-sizes[row], kind="stable")
            offer(row, 0)

    bring_in(shape.n_nodes - 1)
    inside = {shape.n_nodes - 1}
    for _ in range(n):
        if not heap:
            break
        _, row, source, place = heapq.heappop(heap)
        edges[row, source] = True
        offer(row, place + 1)
        if source not in inside:
            inside.add(source)
            bring_in(source)
    return Circuit(shape, edges)


def _sizes(scores: np.ndarray, shape: ComponentShape) -> np.ndarray:
    """(n_inputs, n_sources) float64 |score|."""
    if scores.shape != (shape.n_inputs, shape.n_sources):
        raise InputError(
            f"The scores have the shape {scores.shape}, but this model has {shape.n_inputs} inputs and "
            f"{shape.n_sources} sources. Score its own edges."
        )
    if not np.isfinite(scores).all():
        raise InputError(
            f"{int((~np.isfinite(scores)).sum())} of the scores are not finite: edges cannot be ranked by them. "
            "Check whether the run's loss stayed finite."
        )
    return np.abs(scores.astype(np.float64))


def _check_n(n: int, shape: ComponentShape) -> None:
    if not 1 <= n <= shape.n_edges:
        raise InputError(
            f"A circuit of {n} edges was asked for, but the model has {shape.n_edges}. Ask for 1 to {shape.n_edges}."
        )


EDGE_RULES: Final[dict[How, EdgeRule]] = {
    "top": EdgeRule("Strongest", "the edges with the largest scores, wherever they are", top_edges, _top_above),
    "greedy": EdgeRule(
        "From the output", "grown from the output down, always by the strongest edge into what is already there",
        greedy_edges, _greedy_above,
    ),
}  # fmt: skip
