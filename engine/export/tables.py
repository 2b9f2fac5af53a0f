"""The nodes of a difference as a table to read and to download; the edges' is `engine.figures.tables.edge_table`."""

import pandas as pd

from engine.domain.diffs import GraphDiff
from engine.figures.names import SUPERNODE, node_name, supernode_name

_RENAMED = {
    "a": "influence in A",
    "b": "influence in B",
    "activation_a": "activation in A",
    "activation_b": "activation in B",
    "kept_a": "kept in A",
    "kept_b": "kept in B",
}


def node_table(diff: GraphDiff) -> pd.DataFrame:
    """Every node that either side keeps, the largest change of its influence on the output first.

    Columns: node (name), the columns of `diff.nodes` under readable names, and change (influence in B minus in A).
    """
    nodes = diff.nodes
    fields = zip(*(nodes[name] for name in ("id", "kind", "layer", "token", "index")), strict=True)
    table = nodes.assign(change=nodes["b"] - nodes["a"])
    table.insert(0, "node", [named(*values) for values in fields])
    order = (-table["change"].abs()).argsort(kind="stable")
    return table.iloc[order].rename(columns=_RENAMED).reset_index(drop=True)


def named(node_id: str, kind: str, layer: int, token: str, index: int) -> str:
    """A node in words; a group of features under the name that it was given."""
    return supernode_name(node_id) if kind == SUPERNODE else node_name(kind, layer, token, index)
