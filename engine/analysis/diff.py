"""The difference of two attribution graphs on the same tokens.

Nodes are matched by their identity (kind, layer, position, index), edges by the identities of their ends. Both are told
by what they add to one logit, the same in both graphs (`engine.analysis.parts`): the part that runs through a node, the
flow along an edge, signed and of the graph before any edge was cut.

Part and flow also change where only something behind them did. So what is compared is the edge's own weight, a
feature's own activation, times what a unit more of it does to the logit in B, by the model's own gradient: of all that
was tried this is nearest to patching B with A's values (`bench --only rankings`). Where gradients were not stored, it
is estimated: what a unit is of the logit, in the mean of both graphs. Where most of what enters the output grew by one
factor, as when an output matrix is scaled, that is no change of the circuit: A is multiplied by this common scale
first. Then:

    unchanged     |change| < limit, or |change| < min_ratio x the larger of the two
    flipped       it exists on both sides with opposite signs, by at least the limit on both
    appeared      it exists in B alone (as a rule because one of its ends is active in B alone)
    vanished      it exists in A alone
    strengthened  it exists on both sides, and is larger in B
    weakened      the same, smaller in B
    not kept      one side's stored graph was cut and says nothing of this edge

`unchanged` is tried first. The limit is `min_change` of what moved in all (`ExplainedChange.moved`, at least the change
of the logit itself). In a deep model that is spread over thousands of edges, none of which is a hundredth of it: there
the limit is what the edge has that, with all larger ones, makes up half of it (with another `min_change` than 0.01, in
proportion). It is never below the precision to which parts add up. The change of what flipped is the sum of both sizes
with B's sign. Where all outputs have the same logit but for rounding (`ROUNDING`) and nothing changed by more than that
precision, both graphs are the same: nothing of them is told as a change. Turned round, what counts is asked of the
other model: other changes may then count, but none that counts both ways goes the same way twice, as both sides are
multiplied by one number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from engine.analysis.comparable import refuse_others
from engine.analysis.identities import identities, union_of, unique_rows
from engine.analysis.overlap import weighted_jaccard
from engine.analysis.parts import (
    explained_words,
    gradient_at,
    logit_value,
    mean_unit,
    node_parts,
    said_output,
    traced_to,
    units,
    with_parts,
)
from engine.analysis.pruning import Flow, Pruned, flow, prune
from engine.analysis.same import is_same, unchanged_edges, unchanged_nodes
from engine.analysis.scale import among_the_largest, common_scale
from engine.domain.diffs import (
    CHANGE,
    COMPARED,
    CONTRIBUTION,
    FLOW,
    PART,
    SHARE,
    STATUSES,
    WEIGHT,
    DiffSettings,
    DiffSummary,
    ExplainedChange,
    GraphDiff,
    Status,
)
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, NodeKind

PRECISION = 1e-4  # to which parts add up to the logit, of the size of what they add up from (tests hold them to it)
DEFAULT_SETTINGS = DiffSettings()
_KINDS = [kind.name.lower() for kind in NodeKind]


def diff_graphs(a: AttributionGraph, b: AttributionGraph, settings: DiffSettings = DEFAULT_SETTINGS) -> GraphDiff:
    """The union of what either side keeps after pruning, each with both values and a status.

    Nodes come in the order of layer, position, kind, index; edges with the largest |change| first.
    Raises ComparisonRefused where tokens, transcoders, depth or output targets differ, or what is to be explained is
    no target.
    """
    return _difference(a, b, settings, lambda graph, known: prune(graph, settings.prune, known=known))


def diff_everything(a: AttributionGraph, b: AttributionGraph, settings: DiffSettings = DEFAULT_SETTINGS) -> GraphDiff:
    """As `diff_graphs`, with every node and edge of both full graphs, and the summary of those.

    Statuses are the same as there, and `kept_a` and `kept_b` are true where the side has the node or edge at all.
    """
    return _difference(
        a, b, settings, lambda graph, _: Pruned(np.ones(graph.n_nodes, dtype=bool), np.ones(graph.n_edges, dtype=bool))
    )


def _difference(
    a: AttributionGraph, b: AttributionGraph, settings: DiffSettings, keep: Callable[[AttributionGraph, Flow], Pruned]
) -> GraphDiff:
    refuse_others(a, b)
    a, b = with_parts(a), with_parts(b)
    explained = traced_to(b, settings.explained or said_output(b))
    flows = flow(a), flow(b)
    union, sides = _align((a, b), flows, explained)
    kept = keep(a, flows[0]), keep(b, flows[1])
    change = _explained_change(sides, explained, settings)
    ids = np.array([f"{_KINDS[k]}/{la}/{po}/{ix}" for la, po, k, ix in union.tolist()], dtype=object)
    nodes = _node_table(union, ids, sides, kept, change, settings)
    edges = _edge_table(union, ids, sides, kept, change, settings)
    exact = PRECISION * float(np.abs(_into_outputs(sides)[1]).sum())
    if is_same(a, b, (nodes, edges), exact):
        change, nodes, edges = replace(change, is_same=True, scale=1.0), unchanged_nodes(nodes), unchanged_edges(edges)
    return GraphDiff(
        a=a, b=b, nodes=nodes, edges=edges, summary=summarise(nodes, edges), settings=settings, explained=change
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """One graph on the rows of the union: `row` (n_nodes,) of each of its nodes, `node` (n_rows,) the node or -1."""

    graph: AttributionGraph
    flow: Flow
    part: np.ndarray  # (n_nodes,) of the explained logit
    per_unit: np.ndarray  # (n_nodes,) what a unit of each target's value is of it
    row: np.ndarray
    node: np.ndarray
    gradient: np.ndarray | None  # (n_rows,) the same of each feature, by the model's own gradients; None: not known

    def nodes(self, values: np.ndarray) -> np.ndarray:
        """(n_rows,) `values` of the graph's nodes, 0 (False) where the graph has no such node."""
        out = np.zeros(len(self.node), dtype=values.dtype)
        out[self.row] = values
        return out

    def keys(self, mask: np.ndarray) -> np.ndarray:
        """Of the edges of a mask (n_edges,): target row times n_rows, plus source row."""
        edges = np.flatnonzero(mask)
        source, target = (self.row[end[edges]].astype(np.int64) for end in (self.graph.source, self.graph.target))
        return target * len(self.node) + source

    @cached_property
    def carried(self) -> np.ndarray:
        """(n_edges,) the flow along each edge."""
        return self.graph.weight * self.per_unit[self.graph.target]

    def knows(self, keys: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """(n_keys,) bool: not where an edge that is not here may have been cut. `edges`: of `edges`."""
        n = len(self.node)
        possible = (self.node[keys // n] >= 0) & (self.node[keys % n] >= 0)
        return (edges >= 0) | ~possible | self.graph.is_whole

    def edges(self, keys: np.ndarray) -> np.ndarray:
        """(n_keys,) the graph's edge of each key, or -1."""
        graph = self.graph
        found = np.full(len(keys), -1, dtype=np.int32)
        if graph.n_edges == 0:
            return found
        source, target = self.node[keys % len(self.node)], self.node[keys // len(self.node)]
        own = graph.target.astype(np.int64) * graph.n_nodes + graph.source
        # A traced graph's edges come ordered by target and then by source.
        order = None if (own[1:] >= own[:-1]).all() else np.argsort(own, kind="stable")
        ranked = own if order is None else own[order]
        wanted = np.where((source < 0) | (target < 0), -1, target * graph.n_nodes + source)
        place = np.minimum(np.searchsorted(ranked, wanted), len(ranked) - 1)
        there = ranked[place] == wanted
        found[there] = place[there] if order is None else order[place[there]]
        return found


def _at(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n_keys,) `values` of a graph's edges, 0 (False) where `edges` is -1."""
    out = np.zeros(len(edges), dtype=values.dtype)
    there = edges >= 0
    out[there] = values[edges[there]]
    return out


def _align(
    graphs: tuple[AttributionGraph, AttributionGraph], flows: tuple[Flow, Flow], explained: ExplainedLogits
) -> tuple[np.ndarray, tuple[_Side, _Side]]:
    """The identities of the union, (n_rows, 4), sorted, and both graphs on its rows."""
    union, inverse = unique_rows(np.concatenate([identities(graph) for graph in graphs]))

    def side(graph: AttributionGraph, known: Flow, row: np.ndarray) -> _Side:
        node = np.full(len(union), -1)
        node[row] = np.arange(len(row))
        parts, per_unit = node_parts(graph, explained), units(graph, explained)
        return _Side(graph, known, parts, per_unit, row, node, gradient_at(union, graph, explained))

    n = graphs[0].n_nodes
    return union, (side(graphs[0], flows[0], inverse[:n]), side(graphs[1], flows[1], inverse[n:]))


def _explained_change(
    sides: tuple[_Side, _Side], explained: ExplainedLogits, settings: DiffSettings
) -> ExplainedChange:
    a, b = _into_outputs(sides)
    scale = common_scale(a, b)
    changes = np.abs(b - scale * a)
    moved = float(changes.sum())
    spread = min(moved, among_the_largest(changes[:-1]) / DEFAULT_SETTINGS.min_change)
    limit = max(settings.min_change * spread, PRECISION * float(np.abs(b).sum()))
    before, after = (logit_value(side.graph, explained) for side in sides)
    is_estimated = sides[1].gradient is None
    return ExplainedChange(explained_words(sides[1].graph, explained), before, after, scale, moved, limit, is_estimated)


def _into_outputs(sides: tuple[_Side, _Side]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) flows into the outputs in A and in B, 0 where a side has none; the outputs' constants come last."""
    keys = [side.keys(side.graph.kind[side.graph.target] == NodeKind.LOGIT) for side in sides]
    union = union_of(*keys)
    found = []
    for side in sides:
        into = _at(side.carried, side.edges(union))
        logit = side.part[side.graph.kind == NodeKind.LOGIT].sum()
        found.append(np.append(into, logit - into.sum()))
    return found[0], found[1]


def _node_table(
    union: np.ndarray,
    ids: np.ndarray,
    sides: tuple[_Side, _Side],
    kept: tuple[Pruned, Pruned],
    explained: ExplainedChange,
    settings: DiffSettings,
) -> pd.DataFrame:
    graph = sides[0].graph
    outputs = dict(zip(graph.index[graph.kind == NodeKind.LOGIT].tolist(), graph.target_tokens, strict=True))
    token = [
        outputs[index] if kind == NodeKind.LOGIT else graph.tokens[position]
        for _, position, kind, index in union.tolist()
    ]
    there = [side.nodes(np.ones(side.graph.n_nodes, dtype=bool)) for side in sides]
    part = [side.nodes(side.part) for side in sides]
    activation = [side.nodes(side.graph.activation).astype(np.float64) for side in sides]
    is_feature = union[:, 2] == NodeKind.FEATURE
    own = _own(activation, part, is_feature, sides, np.arange(len(union)), explained.scale)
    status, _ = compared(there, own, explained.limit, settings)
    table = pd.DataFrame(
        {
            "id": ids,
            "kind": [_KINDS[kind] for kind in union[:, 2].tolist()],
            "layer": union[:, 0],
            "position": union[:, 1],
            "index": union[:, 3],
            "token": token,
            **{name: side.nodes(side.flow.output_influence) for name, side in zip("ab", sides, strict=True)},
            **{f"activation_{name}": side.nodes(side.graph.activation) for name, side in zip("ab", sides, strict=True)},
            **{PART[name]: values for name, values in zip("ab", part, strict=True)},
            **{COMPARED[name]: values for name, values in zip("ab", own, strict=True)},
            **{
                f"kept_{name}": side.nodes(pruned.node_mask)
                for name, side, pruned in zip("ab", sides, kept, strict=True)
            },
            "status": status,
        }
    )
    return table[table["kept_a"] | table["kept_b"]].reset_index(drop=True)


def _own(
    value: Sequence[np.ndarray],
    otherwise: Sequence[np.ndarray],
    inner: np.ndarray,
    sides: tuple[_Side, _Side],
    at: np.ndarray,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) of A, on B's scale, and of B: what is compared.

    Where `inner` (n,), it is `value` (of each side) times what a unit at the rows `at` of the union does to the logit;
    elsewhere what `otherwise` says.
    """
    per_unit = _unit(sides, scale)[at]
    a = np.where(inner, value[0] * per_unit, scale * otherwise[0])
    return a, np.where(inner, value[1] * per_unit, otherwise[1])


def _unit(sides: tuple[_Side, _Side], scale: float) -> np.ndarray:
    """(n_rows,) what a unit of each node of the union does to the logit: in B, by its gradients.

    Where these are not known it is estimated: what a unit is of the logit, in the mean of the graphs that have the
    node, A on B's scale.
    """
    if sides[1].gradient is not None:
        return sides[1].gradient
    per_unit = [side.nodes(side.per_unit) for side in sides]
    return mean_unit((scale * per_unit[0], per_unit[1]), [side.node >= 0 for side in sides])


def _edge_table(
    union: np.ndarray,
    ids: np.ndarray,
    sides: tuple[_Side, _Side],
    kept: tuple[Pruned, Pruned],
    explained: ExplainedChange,
    settings: DiffSettings,
) -> pd.DataFrame:
    masks = [pruned.edge_mask for pruned in kept]
    keys = union_of(*(side.keys(mask) for side, mask in zip(sides, masks, strict=True)))
    found = [side.edges(keys) for side in sides]
    weight = [_at(side.graph.weight, edges) for side, edges in zip(sides, found, strict=True)]
    carried = [_at(side.carried, edges) for side, edges in zip(sides, found, strict=True)]
    known = np.logical_and(*(side.knows(keys, edges) for side, edges in zip(sides, found, strict=True)))
    target = keys // len(ids)
    inner = union[target, 2] == NodeKind.FEATURE
    own = _own(weight, carried, inner, sides, target, explained.scale)
    status, change = compared([values != 0 for values in weight], own, explained.limit, settings, known)
    # Put in order before they are columns: with two million edges a table that is turned over takes as much again.
    order = np.argsort(-np.abs(change), kind="stable")
    keys, status, change = keys[order], status[order], change[order]
    weight, carried, found = ([values[order] for values in pair] for pair in (weight, carried, found))
    own = own[0][order], own[1][order]
    names = pd.array(ids, dtype="str")
    columns: dict[str, dict[str, str]] = {"share": SHARE, "contribution": CONTRIBUTION}
    return pd.DataFrame(
        {
            "source": names.take(keys % len(ids)),
            "target": names.take(keys // len(ids)),
            **{WEIGHT[name]: values for name, values in zip("ab", weight, strict=True)},
            **{
                column[name]: _at(getattr(side.flow, attribute), edges)
                for attribute, column in columns.items()
                for name, side, edges in zip("ab", sides, found, strict=True)
            },
            **{FLOW[name]: values for name, values in zip("ab", carried, strict=True)},
            **{COMPARED[name]: values for name, values in zip("ab", own, strict=True)},
            **{f"kept_{name}": _at(mask, edges) for name, mask, edges in zip("ab", masks, found, strict=True)},
            CHANGE: change,
            "status": status,
        },
        copy=False,
    )


def exists(nodes: pd.DataFrame, side: str) -> np.ndarray:
    """(n_nodes,) bool: the nodes of a node table that side `a` or `b` has. A feature that is not active is no node."""
    return ((nodes["kind"] != "feature") | (nodes[f"activation_{side}"] != 0)).to_numpy(dtype=bool)


def signed_contribution(edges: pd.DataFrame, side: str) -> np.ndarray:
    """(n_edges,) the contribution on side `a` or `b` of an edge table, with the sign of the edge."""
    return (edges[CONTRIBUTION[side]] * np.sign(edges[SHARE[side]])).to_numpy(dtype=float)


def compared(
    there: Sequence[np.ndarray],
    values: tuple[np.ndarray, np.ndarray],
    limit: float,
    settings: DiffSettings,
    known: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) status and (n,) change by the rules above.

    there: where each side has it, (n,) bool; values: (n,) what is compared, signed; known: (n,) bool,
    where both sides say anything of it.
    """
    a, b = values
    size_a, size_b = np.abs(a), np.abs(b)
    smaller, larger = np.minimum(size_a, size_b), np.maximum(size_a, size_b)
    flipped = (a * b < 0) & (smaller >= limit)
    change = np.where(flipped, np.sign(b) * (size_a + size_b), size_b - size_a)
    size = np.abs(change)
    rules: list[tuple[np.ndarray, Status]] = [
        (~known if known is not None else np.zeros(len(a), dtype=bool), "not kept"),
        ((size < limit) | (size < settings.min_ratio * larger) | (size == 0), "unchanged"),
        (flipped, "flipped"),
        (~there[0] & there[1], "appeared"),
        (there[0] & ~there[1], "vanished"),
        (change > 0, "strengthened"),
    ]
    names = np.array([status for _, status in rules] + ["weakened"], dtype=object)
    which = np.select([when for when, _ in rules], np.arange(len(rules), dtype=np.int8), default=len(rules))
    return names[which], np.where(which == 0, 0.0, change)


def summarise(nodes: pd.DataFrame, edges: pd.DataFrame) -> DiffSummary:
    """The figures of a difference, from its tables."""
    return DiffSummary(
        node_jaccard=_jaccard(nodes),
        edge_jaccard=_jaccard(edges),
        edge_similarity=weighted_jaccard(edges[SHARE["a"]].to_numpy(), edges[SHARE["b"]].to_numpy()),
        nodes=_counts(nodes),
        edges=_counts(edges),
    )


def _counts(table: pd.DataFrame) -> dict[Status, int]:
    counts = table["status"].value_counts()
    return {status: int(counts.get(status, 0)) for status in STATUSES}


def _jaccard(table: pd.DataFrame) -> float:
    either = int((table["kept_a"] | table["kept_b"]).sum())
    return float((table["kept_a"] & table["kept_b"]).sum() / either) if either else 1.0
