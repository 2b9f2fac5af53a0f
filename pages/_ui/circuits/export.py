"""Circuits as files: the edges as CSV, all scores as JSON. Nothing is made before it is asked for."""

import json
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from engine.domain.components import ComponentScores
from engine.figures.tables import to_csv
from pages._ui.graphs.export_menu import Export

_CSV_COLUMNS = [
    "from", "to", "effect_a", "effect_b", "change", "status", "in_a", "in_b", "via_a", "via_b",
    "q_a", "k_a", "v_a", "q_b", "k_b", "v_b",
]  # fmt: skip


def exports(edges: pd.DataFrame, a: ComponentScores, b: ComponentScores) -> list[Export]:
    """Everything on offer, in the order of the menu."""
    from engine.export import file_name  # heavy, and seldom needed: not before the page is there

    name = f"{a.key.checkpoint} {b.key.checkpoint} circuits"
    return [
        Export(
            "Edges (CSV)", "The table, with q, k and v apart.",
            file_name(name, "-edges.csv"), "text/csv", ":material/table:", partial(edges_csv, edges, a, b),
        ),
        Export(
            "Scores (JSON)", "Every edge of both checkpoints.",
            file_name(name, "-scores.json"), "application/json", ":material/data_object:", partial(scores_json, a, b),
        ),
    ]  # fmt: skip


def edges_csv(edges: pd.DataFrame, a: ComponentScores, b: ComponentScores) -> str:
    """`component_edges`, with the checkpoints in every row."""
    table = edges[_CSV_COLUMNS]
    return to_csv(table.assign(checkpoint_a=a.key.checkpoint, checkpoint_b=b.key.checkpoint))


def scores_json(a: ComponentScores, b: ComponentScores) -> str:
    """Both sides: what made them, names of sources and inputs, and (n_inputs, n_sources) scores, null where there is no
    edge."""
    return json.dumps({"a": _side(a), "b": _side(b)}, ensure_ascii=False, allow_nan=False)


def _side(scores: ComponentScores) -> dict[str, Any]:
    there = scores.shape.edge_mask()
    rows = [
        [float(f"{value:.6g}") if edge else None for value, edge in zip(values, mask, strict=True)]
        for values, mask in zip(scores.scores.tolist(), there.tolist(), strict=True)
    ]
    return {
        "made_by": scores.key.model_dump(mode="json"),
        "sources": list(scores.shape.sources()),
        "inputs": list(scores.shape.inputs()),
        "n_pairs": int(scores.n_pairs.sum()),
        "clean": float(np.average(scores.clean, weights=scores.n_pairs)),
        "corrupted": float(np.average(scores.corrupted, weights=scores.n_pairs)),
        "scores": rows,
    }
