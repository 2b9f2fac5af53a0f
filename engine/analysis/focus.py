"""The part of a difference that carries most of the change: what is drawn of a graph too large to be read. Pure."""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.domain.diffs import FLOW, GraphDiff, edge_effect
from engine.domain.graphs import NodeKind
from engine.domain.numbers import count, percent, plural

_ENDS = {NodeKind.TOKEN.name.lower(), NodeKind.LOGIT.name.lower()}


@dataclass(frozen=True)
class Focus:
    """Which nodes are drawn, and what is between them of all."""

    nodes: frozenset[str]  # ids
    share: float  # of the summed size of all edges' effects, 0 to 1
    n_edges: int


def whole(diff: GraphDiff) -> Focus:
    return Focus(frozenset(diff.nodes["id"]), 1.0, len(diff.edges))


def union(found: Iterable[Focus]) -> Focus:
    """What any of them has; its share and its edges are the least of them."""
    each = tuple(found)
    nodes = frozenset(node for one in each for node in one.nodes)
    return Focus(nodes, min(one.share for one in each), min(one.n_edges for one in each))


def drawn_sentence(diff: GraphDiff, among: Focus) -> str:
    """How much of a difference is drawn; empty where all is."""
    if len(among.nodes) >= len(diff.nodes):
        return ""
    return (
        f"Drawn: {count(len(among.nodes))} of {plural(len(diff.nodes), 'node')}. The edges between them make "
        f"{percent(among.share)} of what {'flows' if diff.explained.is_same else 'changed'}."
    )


def focus(diff: GraphDiff, share: float, also: Collection[str] = ()) -> Focus:
    """The nodes between which edges make at least `share` (0 to 1) of all edges' effects, as few as taking the edges
    with the largest effects gives.

    From each node the edges of largest flow lead on to an output, and back to a token, so that nothing hangs in the
    air; all tokens, outputs and the nodes `also` are there. An effect is what the change of an edge alone does to the
    explained logit, taken without its sign; where nothing but rounding differs, the flow in B is taken instead.
    """
    effect = _sizes(diff)
    if share >= 1 or not effect.any():
        return whole(diff)
    rows = pd.Series(np.arange(len(diff.nodes)), index=diff.nodes["id"])
    source, target = (_rows_of(diff.edges[end], rows) for end in ("source", "target"))
    flow = np.argsort(diff.edges[[FLOW["a"], FLOW["b"]]].abs().max(axis=1).to_numpy(), kind="stable")
    onward, back = np.full(len(rows), -1), np.full(len(rows), -1)
    onward[source[flow]] = target[flow]  # the last one written is the largest
    back[target[flow]] = source[flow]
    ends = diff.nodes["kind"].isin(_ENDS).to_numpy()
    asked = ends | diff.nodes["id"].isin(also).to_numpy()
    order = np.argsort(-effect, kind="stable")

    def with_first(n: int) -> tuple[np.ndarray, np.ndarray]:
        """(n_nodes,) and (n_edges,) bool: what is kept for the first n edges."""
        kept = asked.copy()
        kept[source[order[:n]]] = kept[target[order[:n]]] = True
        kept = _led_on(kept, ends, onward) | _led_on(kept, ends, back)
        return kept, kept[source] & kept[target]

    wanted = share * float(effect.sum())
    n = bisect_left(range(1, len(order)), x=True, key=lambda n: bool(effect[with_first(n)[1]].sum() >= wanted)) + 1
    kept, between = with_first(n)
    return Focus(
        frozenset(diff.nodes["id"][kept]), float(effect[between].sum() / effect.sum()), int(np.count_nonzero(between))
    )


def _sizes(diff: GraphDiff) -> np.ndarray:
    """(n_edges,)"""
    of_edges = diff.edges[FLOW["b"]] if diff.explained.is_same else edge_effect(diff.edges).fillna(0.0)
    return of_edges.abs().to_numpy(dtype=float)


def _rows_of(ends: pd.Series, rows: pd.Series) -> np.ndarray:
    """(n_edges,) what `rows`, by id, says of each end; every id is looked up once, however many edges it has."""
    which, ids = pd.factorize(ends)
    found: np.ndarray = rows[ids].to_numpy()[which]
    return found


def _led_on(kept: np.ndarray, ends: np.ndarray, onward: np.ndarray) -> np.ndarray:
    """(n_nodes,) bool: the kept nodes and what is reached from them, each time along `onward` (-1: nowhere)."""
    found, now = kept.copy(), np.flatnonzero(kept & ~ends)
    while len(now):
        reached = np.unique(onward[now])
        reached = reached[reached >= 0]
        now = reached[~found[reached]]
        found[now] = True
        now = now[~ends[now]]
    return found
