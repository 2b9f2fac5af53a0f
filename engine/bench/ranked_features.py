"""Features, and edges between them, as rankings see them and as patching does."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from engine.analysis.diff import diff_everything, signed_contribution
from engine.analysis.pairs import features_of
from engine.analysis.parts import output_ids
from engine.bench.ranked import MovedPrompt, Ranked
from engine.domain.diffs import COMPARED, FLOW, PART, WEIGHT, DiffSettings, GraphDiff, edge_effect
from engine.domain.graphs import AttributionGraph, FeatureGradients, GraphKey

DEFAULT = "gradient in B"  # times the change: what statuses and tables go by
ESTIMATED = "the same by the graphs"  # what they go by where gradients are not known


def ranked_features(case: MovedPrompt) -> Ranked:
    """All that are active in A or in B."""
    from engine.attribution.patching import feature_changes, features_taken_back

    changes = feature_changes(case.replacement, None, case.tuned, case.prompt, case.of)
    ids = [f"feature/{layer}/{position}/{index}" for layer, position, index in changes.places.tolist()]
    nodes, estimated = (diff.nodes.set_index("id").loc[ids] for diff in _diffs(case))
    return Ranked(
        change=case.change,
        default=DEFAULT,
        signed={
            DEFAULT: _change(nodes, COMPARED),
            "gradient in both": changes.effect,
            "gradient in A": changes.gradients[0] * changes.change,
            ESTIMATED: _change(estimated, COMPARED),
            "change of part": _change(nodes, PART),
        },
        unsigned={
            "change of influence": np.abs(_change(nodes, {"a": "a", "b": "b"})),
            "influence": nodes[["a", "b"]].to_numpy().max(1),
            "size of the change": np.abs(changes.change) * changes.length,
        },
        taken_back=lambda groups: features_taken_back(
            case.replacement, case.tuned, case.prompt, case.of, changes, groups
        ),
    )


def ranked_edges(case: MovedPrompt) -> Ranked:
    """Those of either graph whose target is the answer or a feature that is active in B: only such a one can be given
    other inputs. What a feature that is silent in A got there is in no graph and counts as 0. Of a graph that was cut
    only what both sides say something of."""
    from engine.attribution.patching import feature_changes, inputs_taken_back

    changes = feature_changes(case.replacement, None, case.tuned, case.prompt, case.of)
    places = enumerate(changes.places.tolist())
    rows = {f"feature/{layer}/{position}/{index}": row for row, (layer, position, index) in places}
    exact, by_graphs = _diffs(case)
    answer = exact.b.node_id(int(np.flatnonzero(exact.b.index == case.of.answers[0])[-1]))  # outputs come last
    targets = {node: row for node, row in rows.items() if changes.after[row] > 0}
    edges, estimated = (
        table[table["target"].isin([*targets, answer]) & (table["status"] != "not kept")].set_index(
            ["source", "target"]
        )
        for table in (exact.edges, by_graphs.edges)
    )
    estimated = estimated.loc[edges.index]
    change, of_target = _change(edges, WEIGHT), edges.index.get_level_values("target").map(targets).to_numpy()
    inner = ~np.isnan(of_target)
    row_of = np.where(inner, of_target, 0).astype(int)
    per_unit = np.where(inner, changes.gradients[:, row_of].mean(0), 1.0)

    def taken_back(groups: Sequence[Sequence[int]]) -> list[float]:
        more = [[(int(row_of[e]), -change[e]) for e in group if inner[e]] for group in groups]
        direct = [sum(change[e] for e in group if not inner[e]) for group in groups]
        found = inputs_taken_back(case.replacement, case.tuned, case.prompt, case.of, changes, more)
        return [one + float(other) for one, other in zip(found, direct, strict=True)]

    contribution = [signed_contribution(edges, side) for side in "ab"]
    return Ranked(
        change=case.change,
        default=DEFAULT,
        signed={
            DEFAULT: edge_effect(edges).to_numpy(),
            "gradient in both": change * per_unit,
            ESTIMATED: edge_effect(estimated).to_numpy(),
            "change of flow": _change(edges, FLOW),
            "change of contribution": contribution[1] - contribution[0],
        },
        unsigned={"change of weight": np.abs(change)},
        taken_back=taken_back,
    )


def _change(table: pd.DataFrame, columns: dict[str, str]) -> np.ndarray:
    """(n,) from A to B."""
    return (table[columns["b"]].astype(float) - table[columns["a"]]).to_numpy()


def _diffs(case: MovedPrompt) -> tuple[GraphDiff, GraphDiff]:
    """With the gradients, and without."""
    a, b = _graphs(case)
    settings = DiffSettings(explained=case.of)
    bare = [replace(graph, gradients=None) for graph in (a, b)]
    return diff_everything(a, b, settings), diff_everything(bare[0], bare[1], settings)


def _graphs(case: MovedPrompt) -> list[AttributionGraph]:
    """Of A and B, traced to the same outputs, with their gradients."""
    from engine.attribution.gradients import feature_gradients
    from engine.attribution.targets import common_targets
    from engine.attribution.trace import trace_graph

    targets = common_targets(case.loaded, [case.loaded.model, case.tuned], case.text, None)
    sides = {"a": None, "b": case.tuned}
    graphs = [
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
        for name, side in sides.items()
    ]
    features = features_of(*graphs)
    return [
        replace(
            graph,
            gradients=FeatureGradients(
                features, feature_gradients(case.replacement, side, case.text, output_ids(graph), features)
            ),
        )
        for graph, side in zip(graphs, sides.values(), strict=True)
    ]
