"""Differences as tables to read and to download."""

import re

import numpy as np
import pandas as pd

from engine.domain.diffs import GraphDiff
from engine.figures.names import node_name

EDGE_COLUMNS = ("from", "to", "in A", "in B", "change", "status")
# Spreadsheets run a cell that begins so as a formula (OWASP, CSV injection).
_FORMULA = re.compile(r"^\s*[=+\-@\t\r]")


def edge_table(diff: GraphDiff, *, changed_only: bool = False) -> pd.DataFrame:
    """Edges with the largest change of their part in the output first.

    Columns: from, to (node names), in A, in B (the contribution to the output, with the sign of the weight), change
    (of the contribution's size, as in the diff), status; and the ids `source`, `target`.
    """
    names = _names(diff)
    edges = diff.edges[diff.edges["status"] != "unchanged"] if changed_only else diff.edges
    edges = edges.iloc[(-edges["change"].abs()).argsort(kind="stable")]
    return pd.DataFrame(
        {
            "from": edges["source"].map(names),
            "to": edges["target"].map(names),
            "in A": _signed(edges, "a"),
            "in B": _signed(edges, "b"),
            "change": edges["change"],
            "status": edges["status"],
            "source": edges["source"],
            "target": edges["target"],
        }
    ).reset_index(drop=True)


def neighbours(diff: GraphDiff, node_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Inputs and outputs of one node: node (name), in A, in B (signed contributions), change, status, id.

    Ordered by the larger of both contributions. Empty where the node has none, or is not in the diff.
    """
    names, edges = _names(diff), diff.edges
    larger = edges[["contribution_a", "contribution_b"]].max(axis=1)
    tables = []
    for here, there in (("target", "source"), ("source", "target")):
        part = edges[edges[here] == node_id]
        part = part.loc[larger[part.index].sort_values(ascending=False, kind="stable").index]
        tables.append(
            pd.DataFrame(
                {
                    "node": part[there].map(names),
                    "in A": _signed(part, "a"),
                    "in B": _signed(part, "b"),
                    "change": part["change"],
                    "status": part["status"],
                    "id": part[there],
                }
            ).reset_index(drop=True)
        )
    return tables[0], tables[1]


def to_csv(table: pd.DataFrame) -> str:
    """CSV text; a text cell that a spreadsheet would run as a formula is put behind an apostrophe."""
    safe = table.copy()
    for column in safe.columns:
        if safe[column].dtype.kind not in "fiub":
            safe[column] = safe[column].map(_as_text)
    safe.columns = [_as_text(name) for name in safe.columns]
    return safe.to_csv(index=False)


def _signed(edges: pd.DataFrame, side: str) -> pd.Series:
    """The share would mislead here: half of what an unlikely output receives is next to nothing of the answer."""
    return edges[f"contribution_{side}"] * np.sign(edges[f"weight_{side}"])


def _as_text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _names(diff: GraphDiff) -> dict[str, str]:
    columns = zip(*(diff.nodes[name] for name in ("id", "kind", "layer", "token", "index")), strict=True)
    return {node_id: node_name(kind, layer, token, index) for node_id, kind, layer, token, index in columns}
