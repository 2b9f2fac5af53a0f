"""The nodes of a difference as a table, and nodes and edges as CSV."""

import pandas as pd

from engine.analysis.acted import layers_named
from engine.domain.diffs import COMPARED, PART, GraphDiff
from engine.domain.feature_names import FeatureNames
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


def node_table(diff: GraphDiff, names: FeatureNames | None = None) -> pd.DataFrame:
    """Every node that either side keeps, the largest effect of its change on the explained logit first.

    Columns: node (name), id, label and labelled by (`a person` or `automatic`; empty without one), the other
    columns of `diff.nodes` under readable names (layers as “embeddings”, “L3”, “output”), and effect of change in the
    place of what is compared.
    """
    nodes = diff.nodes
    fields = zip(*(nodes[name] for name in ("id", "kind", "layer", "token", "index")), strict=True)
    table = nodes.assign(**{CHANGE: nodes[COMPARED["b"]] - nodes[COMPARED["a"]]}).drop(columns=[*COMPARED.values()])
    node, *label = _named(list(fields), names).items()
    table.insert(0, *node)
    for place, (column, values) in enumerate(label, start=2):  # behind the id
        table.insert(place, column, values)
    order = (-table[CHANGE].abs()).argsort(kind="stable")
    table = layers_named(table, diff.a.n_layers)
    return table.iloc[order].rename(columns=_RENAMED).reset_index(drop=True)


def nodes_csv(diff: GraphDiff, names: FeatureNames | None = None) -> str:
    """`node_table`, with control characters made visible: a NUL ends the file for many readers."""
    return printable_csv(node_table(diff, names))


def edges_csv(diff: GraphDiff, names: FeatureNames | None = None) -> str:
    """`engine.figures.tables.edge_table`, likewise."""
    return printable_csv(edge_table(diff, names=names))


def _named(fields: list[tuple[str, str, int, str, int]], names: FeatureNames | None) -> dict[str, list[str]]:
    labels = [label_of(kind, layer, index, names) for _, kind, layer, _, index in fields]
    return {
        "node": [named(*values, names) for values in fields],
        "label": [label for label, _ in labels],
        "labelled by": [source for _, source in labels],
    }


def printable_csv(table: pd.DataFrame) -> str:
    """Likewise."""
    return to_csv(table.map(lambda value: printable(value) if isinstance(value, str) else value))


def label_of(kind: str, layer: int, index: int, names: FeatureNames | None) -> tuple[str, str]:
    """A node's label, with all of its tokens, and where it comes from: `a person`, `automatic`; empty without one."""
    label = names.label(layer, index) if names and kind == "feature" else None
    return (label.more, "automatic" if label.automatic else "a person") if label else ("", "")


def named(node_id: str, kind: str, layer: int, token: str, index: int, names: FeatureNames | None = None) -> str:
    """A node in words; a group of features under the name that it was given."""
    return supernode_name(node_id) if kind == SUPERNODE else node_name(kind, layer, token, index, names)
