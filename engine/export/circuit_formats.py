"""The file formats of two component circuits. To add one: write its maker, add its record here.

Nodes are named as in `engine.domain.components`: `input`, `a0.h1`, `m0`, `logits`.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.export.formats import ExportFormat, MenuEntry

if TYPE_CHECKING:
    import pandas as pd

    from engine.domain.components import ComponentScores

CSV_COLUMNS = (
    "source", "target", "effect_a", "effect_b", "change", "status", "in_a", "in_b", "via_a", "via_b",
    "q_a", "k_a", "v_a", "q_b", "k_b", "v_b",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ComparedCircuits:
    """Two component circuits as they are exported."""

    edges: "pd.DataFrame"  # of `engine.figures.component_view.edge_changes`
    a: "ComponentScores"
    b: "ComponentScores"


def _edges(pair: ComparedCircuits, side: str) -> str:
    """The table on screen, with the checkpoints and what they were found with in every row."""
    from engine.figures.tables import to_csv

    table = pair.edges[list(CSV_COLUMNS)]
    made: dict[str, str | int] = {"checkpoint_a": pair.a.key.checkpoint, "checkpoint_b": pair.b.key.checkpoint}
    key = pair.b.key
    made |= {"pairs": key.pairs, "n_pairs": int(pair.b.n_pairs.sum()), "method": key.settings.method}
    return to_csv(table.assign(**made))


def _scores(pair: ComparedCircuits, side: str) -> str:
    """Of both checkpoints: what made the scores, the names of sources and inputs, and the scores (n_inputs,
    n_sources), null where there is no edge."""
    return json.dumps({"a": _record(pair.a), "b": _record(pair.b)}, ensure_ascii=False, allow_nan=False)


def _record(scores: "ComponentScores") -> dict[str, Any]:
    is_edge = scores.shape.edge_mask().tolist()
    rows = [
        [float(f"{value:.6g}") if edge else None for value, edge in zip(values, mask, strict=True)]
        for values, mask in zip(scores.scores.tolist(), is_edge, strict=True)
    ]
    return {
        "made_by": scores.key.model_dump(mode="json"),
        "sources": list(scores.shape.sources()),
        "inputs": list(scores.shape.inputs()),
        "n_pairs": int(scores.n_pairs.sum()),
        "clean": scores.mean_clean,
        "corrupted": scores.mean_corrupted,
        "scores": rows,
    }


CIRCUIT_FORMATS: tuple[ExportFormat[ComparedCircuits], ...] = (
    ExportFormat(
        "csv", (".csv",), "text/csv", "table", _edges,
        (MenuEntry("Edges (CSV)", "The table of edges, with q, k and v apart.", "-edges.csv"),),
    ),
    ExportFormat(
        "json", (".json",), "application/json", "data_object", _scores,
        (MenuEntry("Scores (JSON)", "The score of every edge in the model, A and B.", "-scores.json"),),
    ),
)  # fmt: skip
