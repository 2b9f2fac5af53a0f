"""Features, and edges between them, as rankings see them and as patching does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.parts import effect_of_change, node_parts, units
from engine.analysis.pruning import flow
from engine.bench.ranked import MovedPrompt, Ranked
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, GraphKey, NodeKind

_Node = tuple[int, int, int, int]  # kind, layer, position, index


def ranked_features(case: MovedPrompt) -> Ranked:
    """All that are active in A or in B."""
    from engine.attribution.patching import feature_changes, features_taken_back

    changes = feature_changes(case.replacement, None, case.tuned, case.prompt, case.of)
    graphs = _graphs(case)
    features: list[_Node] = [(int(NodeKind.FEATURE), *place) for place in changes.places.tolist()]
    part, per_unit, influence = (
        np.array([_at(graph, of(graph), features) for graph in graphs])
        for of in (
            lambda graph: node_parts(graph, case.of),
            lambda graph: units(graph, case.of),
            lambda graph: flow(graph).influence,
        )
    )
    return Ranked(
        change=case.change,
        default="gradient in B",
        signed={
            "gradient in both": changes.effect,
            "gradient in A": changes.gradients[0] * changes.change,
            "gradient in B": changes.gradients[1] * changes.change,
            "graphs' gradient in both": effect_of_change(changes.change, (per_unit[0], per_unit[1])),
            "change of part": part[1] - part[0],
        },
        unsigned={
            "change of influence": np.abs(influence[1] - influence[0]),
            "influence": np.maximum(*influence),
            "size of the change": np.abs(changes.change) * changes.length,
        },
        taken_back=lambda groups: features_taken_back(
            case.replacement, case.tuned, case.prompt, case.of, changes, groups
        ),
    )


def ranked_edges(case: MovedPrompt) -> Ranked:
    """Those of either graph whose target is the answer or a feature that is active in B: only such a one can be given
    other inputs. What a feature that is silent in A got there is in no graph and counts as 0."""
    from engine.attribution.patching import feature_changes, inputs_taken_back

    changes = feature_changes(case.replacement, None, case.tuned, case.prompt, case.of)
    graphs = _graphs(case)
    sides = [_NamedEdges.of(graph, case.of) for graph in graphs]
    rows = {(int(NodeKind.FEATURE), *place): row for row, place in enumerate(changes.places.tolist())}
    targets = {node: row for node, row in rows.items() if changes.after[row] > 0}
    answer = sides[1].answer
    edges = [edge for edge in sides[0].weight | sides[1].weight if edge[1] in targets or edge[1] == answer]
    weight, along, contribution = (
        np.array([[getattr(side, name).get(edge, 0.0) for edge in edges] for side in sides])
        for name in ("weight", "flow", "contribution")
    )
    per_unit = np.array(
        [(1.0, 1.0) if edge[1] == answer else changes.gradients[:, targets[edge[1]]] for edge in edges]
    ).T  # (2, n) what a unit more at the target does to the answer
    of_graphs = np.array([[side.per_unit.get(edge[1], 0.0) for edge in edges] for side in sides])
    change = weight[1] - weight[0]

    def taken_back(groups: Sequence[Sequence[int]]) -> list[float]:
        inner = [[(targets[edges[e][1]], -change[e]) for e in group if edges[e][1] in targets] for group in groups]
        direct = [sum(change[e] for e in group if edges[e][1] == answer) for group in groups]
        found = inputs_taken_back(case.replacement, case.tuned, case.prompt, case.of, changes, inner)
        return [one + float(other) for one, other in zip(found, direct, strict=True)]

    return Ranked(
        change=case.change,
        default="gradient in B",
        signed={
            "gradient in both": change * per_unit.mean(0),
            "gradient in B": change * per_unit[1],
            "graphs' gradient in both": effect_of_change(change, (of_graphs[0], of_graphs[1])),
            "change of flow": along[1] - along[0],
            "change of contribution": contribution[1] - contribution[0],
        },
        unsigned={"change of weight": np.abs(change)},
        taken_back=taken_back,
    )


@dataclass(frozen=True, eq=False)
class _NamedEdges:
    """Of one graph: what its edges, (source, target), are."""

    answer: _Node
    per_unit: dict[_Node, float]  # of targets: what a unit of their value is of the answer
    weight: dict[tuple[_Node, _Node], float]
    flow: dict[tuple[_Node, _Node], float]
    contribution: dict[tuple[_Node, _Node], float]  # with the sign of the weight

    @classmethod
    def of(cls, graph: AttributionGraph, explained: ExplainedLogits) -> "_NamedEdges":
        nodes = _nodes(graph)
        ends = list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
        names = [(nodes[source], nodes[target]) for source, target in ends]
        signed = np.sign(graph.weight) * flow(graph).contribution
        per_unit = units(graph, explained)
        along = graph.weight * per_unit[graph.target]
        answer = nodes[int(np.flatnonzero((graph.kind == NodeKind.LOGIT) & (graph.index == explained.answers[0]))[0])]
        weight, flows, contribution = (
            dict(zip(names, values.tolist(), strict=True)) for values in (graph.weight, along, signed)
        )
        return cls(answer, dict(zip(nodes, per_unit.tolist(), strict=True)), weight, flows, contribution)


def _graphs(case: MovedPrompt) -> tuple[AttributionGraph, AttributionGraph]:
    """Of A and B, traced to the same outputs, uncut."""
    from engine.attribution.targets import common_targets
    from engine.attribution.trace import trace_graph

    targets = common_targets(case.loaded, [case.loaded.model, case.tuned], case.text, None)
    a, b = (
        trace_graph(
            case.replacement,
            key=GraphKey(
                checkpoint=name,
                checkpoint_hash="",
                prompt=case.text,
                transcoders="",
                transcoders_hash="",
                targets=targets,
            ),
            merged=side,
        )
        for name, side in (("a", None), ("b", case.tuned))
    )
    return a, b


def _nodes(graph: AttributionGraph) -> list[_Node]:
    columns = (graph.kind.tolist(), graph.layer.tolist(), graph.position.tolist(), graph.index.tolist())
    return list(zip(*columns, strict=True))


def _at(graph: AttributionGraph, values: np.ndarray, nodes: Sequence[_Node]) -> np.ndarray:
    """(n,) of nodes; 0 of those that the graph does not have."""
    found = dict(zip(_nodes(graph), values.tolist(), strict=True))
    return np.array([found.get(node, 0.0) for node in nodes])
