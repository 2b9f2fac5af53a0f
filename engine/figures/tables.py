"""Differences as tables to read and to download."""

import re
from collections.abc import Collection

import numpy as np
import pandas as pd

from engine.domain.diffs import (
    CHANGE,
    FLOW,
    MEAN_COLUMNS,
    NOT_CHANGED,
    SHARE,
    STATUSES,
    GraphDiff,
    Status,
    edge_effect,
    without_unknown,
)
from engine.domain.feature_names import FeatureNames
from engine.figures.names import SUPERNODE, node_name, supernode_name

CHANGE_TITLE = "effect of change"
CHANGED: tuple[Status, ...] = tuple(status for status in STATUSES if status not in NOT_CHANGED)
# Spreadsheets run a cell that begins so as a formula (OWASP, CSV injection).
_FORMULA = re.compile(r"^\s*[=+\-@\t\r]")


def edge_table(
    diff: GraphDiff,
    *,
    statuses: Collection[str] = STATUSES,
    node: str | None = None,
    least: float = 0.0,
    most: int | None = None,
    names: FeatureNames | None = None,
) -> pd.DataFrame:
    """Edges with the largest change first; `names`: of the features.

    Only of these `statuses`, of one `node` (id) where it is given, whose change has an effect of `least` or more; and
    of these the first `most`, so that of millions only what is shown is made.

    Columns: from, to (node names), in A, in B (the flow, in logits), effect of change (what the change of this edge's
    weight does to the explained logit, signed), status, share A, share B (of what the target receives, signed); of a
    mean circuit also n and the spreads of `engine.analysis.aggregate`; and the ids `source`, `target`. What a side did
    not keep is NaN.
    """
    edges = diff.edges
    if len(set(statuses)) < len(STATUSES):
        edges = edges[edges["status"].isin(statuses)]
    if node is not None:
        edges = edges[(edges["source"] == node) | (edges["target"] == node)]
    if least:
        edges = edges[edge_effect(edges).abs() >= least]
    edges = edges.iloc[np.argsort(-edges[CHANGE].abs().to_numpy(), kind="stable")[:most]]
    called = node_names(diff, names)
    ends = {"from": edges["source"].map(called), "to": edges["target"].map(called)}
    ids = {end: edges[end] for end in ("source", "target")}
    return pd.DataFrame({**ends, **_values(edges), **ids}).reset_index(drop=True)


def neighbours(diff: GraphDiff, node_id: str, names: FeatureNames | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Inputs and outputs of one node: node (name), the values of `edge_table`, id.

    Ordered by the larger |flow| of both, then by the larger |share|: what runs to another output than the explained one
    has no flow. Empty where the node has none, or is not in the diff.
    """
    called, edges = node_names(diff, names), diff.edges
    larger = pd.DataFrame({"flow": edges[[*FLOW.values()]].abs().max(axis=1),
                           "share": edges[[*SHARE.values()]].abs().max(axis=1)})  # fmt: skip
    tables = []
    for here, there in (("target", "source"), ("source", "target")):
        part = edges[edges[here] == node_id]
        part = part.loc[larger.loc[part.index].sort_values(["flow", "share"], ascending=False, kind="stable").index]
        rows = {"node": part[there].map(called), **_values(part), "id": part[there]}
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
    """What the tables say of an edge. The share alone misleads: half of what a feature receives is next to nothing of
    the answer where hardly any of it runs through that feature."""
    known = without_unknown(edges)
    return {
        "in A": known[FLOW["a"]],
        "in B": known[FLOW["b"]],
        CHANGE_TITLE: edge_effect(edges),
        "status": edges["status"],
        **{f"share {side.upper()}": known[SHARE[side]] for side in "ab"},
        **{name: edges[name] for name in MEAN_COLUMNS if name in edges},
    }


def _as_text(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def node_names(diff: GraphDiff, names: FeatureNames | None = None) -> dict[str, str]:
    """What each node is called, by id; a group by its own name, a feature as `names` has it."""
    columns = zip(*(diff.nodes[name] for name in ("id", "kind", "layer", "token", "index")), strict=True)
    return {
        node_id: supernode_name(node_id) if kind == SUPERNODE else node_name(kind, layer, token, index, names)
        for node_id, kind, layer, token, index in columns
    }
