"""Differences as tables to read and to download."""

import re

import pandas as pd

from engine.analysis.diff import signed_contribution
from engine.domain.diffs import CHANGE, CONTRIBUTION, MEAN_COLUMNS, SHARE, GraphDiff
from engine.figures.names import SUPERNODE, node_name, supernode_name

CHANGE_TITLE = "change in contribution"
# Spreadsheets run a cell that begins so as a formula (OWASP, CSV injection).
_FORMULA = re.compile(r"^\s*[=+\-@\t\r]")


def edge_table(diff: GraphDiff, *, changed_only: bool = False, node: str | None = None) -> pd.DataFrame:
    """Edges with the largest change of their part in the output first; of one `node` (id) alone, where it is given.

    Columns: from, to (node names), in A, in B (the contribution to the output, with the sign of the edge), share A,
    share B (of what the target receives, signed), change in contribution (in B minus in A, so that an edge that pushes
    down more has a negative one), status; of a mean circuit also n and the spreads of `engine.analysis.aggregate`; and
    the ids `source`, `target`.
    """
    edges = diff.edges
    if changed_only:
        edges = edges[edges["status"] != "unchanged"]
    if node is not None:
        edges = edges[(edges["source"] == node) | (edges["target"] == node)]
    edges = edges.iloc[(-edges[CHANGE].abs()).argsort(kind="stable")]
    names = node_names(diff)
    ends = {"from": edges["source"].map(names), "to": edges["target"].map(names)}
    ids = {end: edges[end] for end in ("source", "target")}
    return pd.DataFrame({**ends, **_values(edges), **ids}).reset_index(drop=True)


def neighbours(diff: GraphDiff, node_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Inputs and outputs of one node: node (name), the values of `edge_table`, id.

    Ordered by the larger of both contributions. Empty where the node has none, or is not in the diff.
    """
    names, edges = node_names(diff), diff.edges
    larger = edges[[CONTRIBUTION["a"], CONTRIBUTION["b"]]].max(axis=1)
    tables = []
    for here, there in (("target", "source"), ("source", "target")):
        part = edges[edges[here] == node_id]
        part = part.loc[larger[part.index].sort_values(ascending=False, kind="stable").index]
        rows = {"node": part[there].map(names), **_values(part), "id": part[there]}
        tables.append(pd.DataFrame(rows).reset_index(drop=True))
    return tables[0], tables[1]


def to_csv(table: pd.DataFrame) -> str:
    """CSV text; a text cell that a spreadsheet would run as a formula is put behind an apostrophe."""
    safe = table.copy()
    for column in safe.columns:
        if safe[column].dtype.kind not in "fiub":
            safe[column] = safe[column].map(_as_text)
    safe.columns = [_as_text(name) for name in safe.columns]
    return safe.to_csv(index=False)


def _values(edges: pd.DataFrame) -> dict[str, pd.Series]:
    """What the tables say of an edge. The share alone misleads: half of what an unlikely output receives is next to
    nothing of the answer."""
    a, b = (pd.Series(signed_contribution(edges, side), edges.index) for side in "ab")
    return {
        "in A": a,
        "in B": b,
        **{f"share {side.upper()}": edges[SHARE[side]] for side in "ab"},
        CHANGE_TITLE: b - a,
        **{name: edges[name] for name in ("status", *MEAN_COLUMNS) if name in edges},
    }


def _as_text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def node_names(diff: GraphDiff) -> dict[str, str]:
    """What each node is called, by id; a group by its own name."""
    columns = zip(*(diff.nodes[name] for name in ("id", "kind", "layer", "token", "index")), strict=True)
    return {
        node_id: supernode_name(node_id) if kind == SUPERNODE else node_name(kind, layer, token, index)
        for node_id, kind, layer, token, index in columns
    }
