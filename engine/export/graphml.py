"""Graphs for networkx, Gephi, Cytoscape and yEd: GraphML (Brandes et al. 2002), directed.

A node's id is its identity, `kind/LAYER/POSITION/INDEX`. Every attribute is a string, an integer, a float or a boolean;
what is not known is left out. Text is XML's: a character that XML forbids is made visible.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from engine.domain.diffs import GraphDiff, without_unknown
from engine.domain.feature_names import FeatureNames
from engine.export.tables import label_of, named
from engine.export.texts import printable


def to_graphml(diff: GraphDiff, names: FeatureNames | None = None) -> str:
    """The union of both graphs: every column of the difference's tables, what is explained, and what made each side.

    `names`: of the features; a label stands in `feature_label`, where it comes from in `labelled_by`.
    What a side did not keep of an edge is left out, as all that is not known.
    """
    facts: dict[str, Any] = {"prompt": diff.a.key.prompt, "transcoders": diff.a.key.transcoders}
    for side, graph in (("a", diff.a), ("b", diff.b)):
        facts |= {f"checkpoint_{side}": graph.key.checkpoint, f"replacement_{side}": graph.fit.replacement}
    facts |= {f"explained_{name}": value for name, value in asdict(diff.explained).items()}
    facts |= diff.settings.prune.model_dump()
    return _write(facts, _records(diff.nodes), _records(without_unknown(diff.edges)), names)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict a row, of Python's own types."""
    columns = [table[name].tolist() for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _write(
    facts: Mapping[str, Any],
    nodes: Iterable[dict[str, Any]],
    edges: Iterable[dict[str, Any]],
    names: FeatureNames | None,
) -> str:
    import networkx as nx

    graph = nx.DiGraph(**_known(facts))
    for node in nodes:
        label = named(node["id"], node["kind"], node["layer"], node["token"], node["index"], names)
        written, source = label_of(node["kind"], node["layer"], node["index"], names)
        own = {"feature_label": printable(written), "labelled_by": source} if written else {}
        graph.add_node(node["id"], label=printable(label), **own, **_known(node, without=("id",)))
    for edge in edges:
        graph.add_edge(edge["source"], edge["target"], **_known(edge, without=("source", "target")))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(nx.generate_graphml(graph)) + "\n"


def _known(values: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    kept = {}
    for name, value in values.items():
        if name in without or value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        kept[name] = printable(value) if isinstance(value, str) else value
    return kept
