"""The nodes of a difference as a table, and nodes and edges as CSV."""

import pandas as pd

from engine.domain.diffs import COMPARED, PART, GraphDiff
from engine.export.texts import printable
from engine.figures.names import SUPERNODE, node_name, supernode_name
from engine.figures.tables import edge_table, to_csv

CHANGE = "effect of change"
_RENAMED = {
    "a": "influence in A",
    "b": "influence in B",
    PART["a"]: "part in A",
    PART["b"]: "part in B",
    "activation_a": "activation in A",
    "activation_b": "activation in B",
    "kept_a": "kept in A",
    "kept_b": "kept in B",
}


def node_table(diff: GraphDiff) -> pd.DataFrame:
    """Every node that either side keeps, the largest effect of its change on the explained logit first.

    Columns: node (name), the columns of `diff.nodes` under readable names, and effect of change in the place of what is
    compared.
    """
    nodes = diff.nodes
    fields = zip(*(nodes[name] for name in ("id", "kind", "layer", "token", "index")), strict=True)
    table = nodes.assign(**{CHANGE: nodes[COMPARED["b"]] - nodes[COMPARED["a"]]}).drop(columns=[*COMPARED.values()])
    table.insert(0, "node", [named(*values) for values in fields])
    order = (-table[CHANGE].abs()).argsort(kind="stable")
    return table.iloc[order].rename(columns=_RENAMED).reset_index(drop=True)


def nodes_csv(diff: GraphDiff) -> str:
    """`node_table`, with control characters made visible: a NUL ends the file for many readers."""
    return printable_csv(node_table(diff))


def edges_csv(diff: GraphDiff) -> str:
    """`engine.figures.tables.edge_table`, likewise."""
    return printable_csv(edge_table(diff))


def printable_csv(table: pd.DataFrame) -> str:
    """Likewise."""
    return to_csv(table.map(lambda value: printable(value) if isinstance(value, str) else value))


def named(node_id: str, kind: str, layer: int, token: str, index: int) -> str:
    """A node in words; a group of features under the name that it was given."""
    return supernode_name(node_id) if kind == SUPERNODE else node_name(kind, layer, token, index)
