"""What two circuits have in common, in one plain sentence."""

from dataclasses import dataclass

import numpy as np

from engine.analysis.components.pruning import collapsed, node_mask
from engine.domain.components import Circuit


@dataclass(frozen=True)
class Overlap:
    """Counts of heads and MLPs (without input and output) and of edges, q, k and v of a head as one."""

    nodes_a: int
    nodes_b: int
    nodes_both: int
    edges_a: int
    edges_b: int
    edges_both: int


def overlap(a: Circuit, b: Circuit) -> Overlap:
    """Of two circuits of one model."""
    nodes = [node_mask(one)[1:-1] for one in (a, b)]
    edges = [collapsed(one) for one in (a, b)]
    return Overlap(*_counts(*nodes), *_counts(*edges))


def sentence(found: Overlap, *, step_a: int, step_b: int) -> str:
    """In Markdown; every figure is of A's circuit, the earlier one where A is the base."""
    if step_a == step_b:
        return (
            f"Both sides are the same checkpoint: **{_parts(found.nodes_a)}** and **{found.edges_a:,} edges** between "
            "them."
        )
    who = "Fine-tuning" if step_a == 0 else f"Training from step {step_a} to {step_b}"
    if step_a > step_b:
        who = f"Going back from step {step_a} to {step_b}"
    lost = found.edges_a - found.edges_both
    kept_nodes = f"kept **{found.nodes_both} of {found.nodes_a}** heads and MLPs"
    if found.nodes_both == found.nodes_a:
        kept_nodes = f"kept all **{found.nodes_a}** heads and MLPs"
    if not lost:
        return f"{who} {kept_nodes} and all **{found.edges_a:,}** edges between them{_new(found)}."
    gone = f"**{lost:,} of {found.edges_a:,}** edges between them"
    stayed = found.nodes_both / max(found.nodes_a, 1)
    join = ", but" if stayed - (found.edges_both / max(found.edges_a, 1)) > 0.15 else " and"
    verb = "exchanged" if found.edges_b > found.edges_both else "dropped"
    return f"{who} {kept_nodes}{join} {verb} {gone}{_new(found)}."


def _new(found: Overlap) -> str:
    """What B has more: parts, or where there are none, edges that took nobody's place."""
    parts, edges = found.nodes_b - found.nodes_both, found.edges_b - found.edges_both
    if parts:
        return f"; {_parts(parts)} joined"
    if edges and found.edges_both == found.edges_a:
        return f"; {edges:,} {'edge is' if edges == 1 else 'edges are'} new"
    return ""


def _parts(n: int) -> str:
    return f"{n} head or MLP" if n == 1 else f"{n} heads and MLPs"


def _counts(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int]:
    return int(a.sum()), int(b.sum()), int((a & b).sum())
