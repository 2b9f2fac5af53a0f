"""Circuits of subtasks united into one for the task that is composed of them (Wang et al. 2025, arXiv 2502.11812)."""

from collections.abc import Sequence

import numpy as np

from engine.analysis.components.pruning import pruned
from engine.analysis.components.selection import select
from engine.domain.components import Circuit, ComponentShape
from engine.domain.errors import InputError


def united_scores(parts: Sequence[np.ndarray], circuits: Sequence[Circuit]) -> np.ndarray:
    """(n_inputs, n_sources) float32: of an edge the mean score over the parts whose circuit has it, 0 elsewhere.

    Raises InputError for no parts.
    """
    if not parts:
        raise InputError("There is no subtask to unite. Give at least one.")
    there = np.stack([one.edges for one in circuits])  # (n_parts, n_inputs, n_sources)
    total = np.where(there, np.stack(parts).astype(np.float64), 0).sum(axis=0)
    mean: np.ndarray = (total / np.maximum(there.sum(axis=0), 1)).astype(np.float32)
    return mean


def united(parts: Sequence[np.ndarray], shape: ComponentShape, *, share: float, n_edges: int) -> Circuit:
    """The union of the parts' circuits, each of this share of all edges, at the size of another circuit.

    Of the united edges those with the largest |mean score| are kept: as many as leave at most `n_edges` after what is
    on no path from input to logits is dropped. So both circuits are of equal size where they are measured, or the union
    is smaller where it has no more edges, or where the next edge would bring several in.

    `parts`: scores, (n_inputs, n_sources) each. Raises InputError for no parts, as `select`, and where nothing is left.
    """
    circuits = [select(scores, shape, share=share) for scores in parts]
    scores = united_scores(parts, circuits)
    members = np.flatnonzero(np.any([one.edges for one in circuits], axis=0))
    ranked = members[np.argsort(-np.abs(scores.ravel()[members]), kind="stable")]

    def first(n: int) -> Circuit:
        edges = np.zeros(shape.n_inputs * shape.n_sources, dtype=bool)
        edges[ranked[:n]] = True
        return pruned(Circuit(shape, edges.reshape(shape.n_inputs, shape.n_sources)))

    low, high = 0, len(ranked)  # more edges never leave fewer after pruning
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first(middle).n_edges <= n_edges else (low, middle - 1)
    circuit = first(low)
    if not circuit.n_edges:
        raise InputError(
            f"The union is empty: {len(ranked)} united edges cut to {n_edges} leave none on a path from the input to "
            "the logits. Ask for a larger share of the edges."
        )
    return circuit
