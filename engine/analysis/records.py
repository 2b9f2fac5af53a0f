"""Graphs and differences as plain records, for the command line (`trace --json`, `compare --json`).

Ids read `feature/LAYER/POSITION/INDEX`, as `AttributionGraph.node_id` writes them. Nodes and edges are data frames, as
there may be 150,000. What is not known is NaN. The influence of a logit is its probability.
"""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.diff import diff_everything
from engine.analysis.parts import explained_logit, move_table, place_table, said_output
from engine.analysis.pruning import DEFAULT_PRUNING, flow, prune
from engine.domain.diffs import CONTRIBUTION, FLOW, MEAN_COLUMNS, PART, SHARE, WEIGHT, GraphDiff, without_unknown
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings

NODE_FIELDS = (
    "id", "kind", "layer", "position", "index", "token", "a", "b", PART["a"], PART["b"], "status"
)  # fmt: skip
EDGE_FIELDS = (
    "source",
    "target",
    WEIGHT["a"],
    WEIGHT["b"],
    SHARE["a"],
    SHARE["b"],
    CONTRIBUTION["a"],
    CONTRIBUTION["b"],
    FLOW["a"],
    FLOW["b"],
    "status",
)


def diff_record(diff: GraphDiff, *, everything: bool = False) -> dict[str, Any]:
    """Keys a, b (checkpoint, prompt, tokens, logits, scores, cut), nodes, edges, summary, explained; of single graphs
    also parts, places and moves. Parts and flows are of the logit that `explained` tells.

    `everything`: all nodes and edges of both graphs before pruning, not only what either side keeps. The summary is
    that of the pruned graphs either way. In a mean circuit nodes and edges have n and the spreads
    besides, and the token id of a target is the number of its role (0 the right answer, 1 the other outputs).
    """
    shown = diff_everything(diff.a, diff.b, diff.settings) if everything else diff
    carried: dict[str, Any] = {}
    if MEAN_COLUMNS[0] not in diff.nodes:
        explained = diff.settings.explained or said_output(diff.b)
        carried = {
            "parts": {
                name: asdict(explained_logit(graph, explained)) for name, graph in (("a", diff.a), ("b", diff.b))
            },
            "places": place_table(diff.a, diff.b, explained).to_dict("records"),
            "moves": move_table(diff.a, diff.b, explained).to_dict("records"),
        }
    return {
        "a": _side(diff.a),
        "b": _side(diff.b),
        "nodes": _shown(shown.nodes, NODE_FIELDS),
        "edges": _shown(without_unknown(shown.edges), EDGE_FIELDS),
        "summary": diff.summary.model_dump(),
        "explained": asdict(diff.explained),
        **carried,
    }


def graph_record(
    graph: AttributionGraph, settings: PruneSettings = DEFAULT_PRUNING, *, everything: bool = False
) -> dict[str, Any]:
    """Keys checkpoint, prompt, tokens, logits, scores, nodes (with activation, influence), edges (with share,
    contribution); all of them before pruning with `everything`."""
    known = flow(graph)
    pruned = prune(graph, settings, known=known)
    node_rows = np.arange(graph.n_nodes) if everything else np.flatnonzero(pruned.node_mask)
    edge_rows = np.arange(graph.n_edges) if everything else np.flatnonzero(pruned.edge_mask)
    ids = np.array(graph.node_ids(), dtype=object)
    nodes = pd.DataFrame(
        {
            "id": ids[node_rows],
            "kind": np.array([kind.name.lower() for kind in NodeKind], dtype=object)[graph.kind[node_rows]],
            "layer": graph.layer[node_rows],
            "position": graph.position[node_rows],
            "index": graph.index[node_rows],
            "token": np.array(graph.node_tokens(), dtype=object)[node_rows],
            "activation": graph.activation[node_rows],
            "influence": known.output_influence[node_rows],
        }
    )
    edges = pd.DataFrame(
        {
            "source": ids[graph.source[edge_rows]],
            "target": ids[graph.target[edge_rows]],
            "weight": graph.weight[edge_rows],
            "share": known.share[edge_rows],
            "contribution": known.contribution[edge_rows],
        }
    )
    return {**_side(graph), "nodes": nodes, "edges": edges}


def _side(graph: AttributionGraph) -> dict[str, Any]:
    logit_ids = graph.index[graph.kind == NodeKind.LOGIT].tolist()
    logits = [
        {"token": token, "token_id": token_id, "probability": _number(p), "logit": _number(logit)}
        for token, token_id, p, logit in zip(
            graph.target_tokens, logit_ids, graph.target_probability, graph.target_logit, strict=True
        )
    ]
    return {
        "checkpoint": graph.key.checkpoint,
        "prompt": graph.key.prompt,
        "transcoders": graph.key.transcoders,
        "tokens": list(graph.tokens),
        "logits": logits,
        "cut": not graph.is_whole,
        "scores": {name: _number(value) for name, value in graph.fit.model_dump().items()},
    }


def _shown(table: pd.DataFrame, fields: tuple[str, ...]) -> pd.DataFrame:
    return table[[*fields, *(name for name in MEAN_COLUMNS if name in table)]]


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
