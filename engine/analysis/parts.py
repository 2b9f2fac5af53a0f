"""What carries one output in each of two graphs: signed parts by place and between tokens, the same output in both.

A place is a layer at a position: its features and its error, which together are what the transcoder stands for.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.domain.graphs import AttributionGraph, LogitParts, NodeKind


@dataclass(frozen=True)
class ExplainedLogit:
    """Where a logit (minus the mean logit) comes from; the four add up to it."""

    token: str
    logit: float
    tokens: float
    errors: float
    left_out: float  # active features that are no nodes
    constants: float  # biases of transcoders, attention and norms, and the first position's fixed part


def said_output(graph: AttributionGraph) -> int:
    """Which of its outputs a graph finds most probable: a row of `target_tokens`."""
    return int(np.argmax(graph.target_probability))


def has_parts(*graphs: AttributionGraph) -> bool:
    """Whether all were traced since parts are kept."""
    return all(graph.parts is not None for graph in graphs)


def explained_logit(graph: AttributionGraph, output: int) -> ExplainedLogit:
    """Of an output, a row of `target_tokens`."""
    parts, per_unit = _parts(graph), units(graph, output)
    of_kind = {kind: float(parts.part[output, graph.kind == kind].sum()) for kind in (NodeKind.TOKEN, NodeKind.ERROR)}
    return ExplainedLogit(
        token=graph.target_tokens[output],
        logit=float(graph.target_logit[output]),
        tokens=of_kind[NodeKind.TOKEN],
        errors=of_kind[NodeKind.ERROR],
        left_out=float(per_unit @ parts.left_out),
        constants=float(per_unit @ parts.constant),
    )


def units(graph: AttributionGraph, output: int) -> np.ndarray:
    """(n_nodes,) what a unit of each target's value is of the logit: an edge's flow is its weight times this."""
    per_unit = np.zeros(graph.n_nodes)
    features = graph.kind == NodeKind.FEATURE
    per_unit[features] = _parts(graph).part[output, features] / graph.activation[features]
    per_unit[np.flatnonzero(graph.kind == NodeKind.LOGIT)[output]] = 1.0
    return per_unit


def node_parts(graph: AttributionGraph, output: int) -> np.ndarray:
    """(n_nodes,) part of the logit that runs through each node; the explained logit's is its value."""
    found = _parts(graph).part[output].astype(np.float64)
    found[np.flatnonzero(graph.kind == NodeKind.LOGIT)[output]] = graph.target_logit[output]
    return found


def place_table(a: AttributionGraph, b: AttributionGraph, output: int) -> pd.DataFrame:
    """layer, position, token, a, b: the largest change first, places that are 0 in both left out."""
    grids = [_grid(graph, output) for graph in (a, b)]
    layer, position = np.nonzero((grids[0] != 0) | (grids[1] != 0))
    table = pd.DataFrame(
        {
            "layer": layer,
            "position": position,
            "token": [a.tokens[p] for p in position],
            "a": grids[0][layer, position],
            "b": grids[1][layer, position],
        }
    )
    return _by_change(table)


def move_table(a: AttributionGraph, b: AttributionGraph, output: int) -> pd.DataFrame:
    """source, target (positions), source_token, target_token, a, b: what came to a token from another, in all layers.

    The largest change first; what stays at its own token is left out.
    """
    moved = [_parts(graph).moved[output].astype(np.float64) for graph in (a, b)]
    target, source = np.nonzero((moved[0] != 0) | (moved[1] != 0))
    across = target != source
    target, source = target[across], source[across]
    table = pd.DataFrame(
        {
            "source": source,
            "target": target,
            "source_token": [a.tokens[p] for p in source],
            "target_token": [a.tokens[p] for p in target],
            "a": moved[0][target, source],
            "b": moved[1][target, source],
        }
    )
    return _by_change(table)


def _grid(graph: AttributionGraph, output: int) -> np.ndarray:
    """(n_layers, n_pos)"""
    found = np.zeros((graph.n_layers, len(graph.tokens)))
    here = (graph.kind == NodeKind.FEATURE) | (graph.kind == NodeKind.ERROR)
    np.add.at(found, (graph.layer[here], graph.position[here]), _parts(graph).part[output, here])
    return found


def _parts(graph: AttributionGraph) -> LogitParts:
    assert graph.parts is not None  # asked by `has_parts`
    return graph.parts


def _by_change(table: pd.DataFrame) -> pd.DataFrame:
    order = (table["b"] - table["a"]).abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
