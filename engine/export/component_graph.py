"""The component circuit of one checkpoint for other tools: a record for JSON, CSV of its edges, GraphML.

Nodes are named as in `engine.domain.components`: `input`, `a0.h1`, `m0`, `logits`. An edge into a head says into which
of its inputs: q, k or v.
"""

from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.components.pruning import node_names
from engine.domain.components import Circuit, ComponentPlace, ComponentScores
from engine.export.texts import printable
from engine.figures.tables import to_csv

EDGE_COLUMNS = ("source", "target", "input", "score")


def component_edges(scores: ComponentScores, circuit: Circuit) -> pd.DataFrame:
    """A row an edge, the largest |score| first: source, target (nodes), input (q, k, v, or empty), score (signed)."""
    places = np.argwhere(circuit.edges)
    values = scores.scores[circuit.edges]
    order = np.argsort(-np.abs(values), kind="stable")
    sources, inputs = circuit.shape.sources(), circuit.shape.inputs()
    rows = []
    for place in order.tolist():
        row, column = places[place].tolist()
        target, _, which = inputs[row].removesuffix(">").partition("<")
        rows.append((sources[column], target, which, float(values[place])))
    return pd.DataFrame(rows, columns=list(EDGE_COLUMNS))


def component_nodes(circuit: Circuit) -> list[str]:
    """The nodes of the circuit in the order in which the model computes them."""
    there = node_names(circuit)
    return [name for name in circuit.shape.nodes() if name in there]


def component_record(scores: ComponentScores, circuit: Circuit) -> dict[str, Any]:
    """Everything about the circuit as JSON takes it."""
    edges = component_edges(scores, circuit)
    return {
        "key": scores.key.model_dump(mode="json"),
        "shape": circuit.shape.model_dump(),
        "n_edges_of_model": circuit.shape.n_edges,
        "n_nodes_of_model": circuit.shape.n_nodes,
        "n_pairs": int(scores.n_pairs.sum()),
        "clean": scores.mean_clean,
        "corrupted": scores.mean_corrupted,
        "nodes": component_nodes(circuit),
        "edges": [dict(zip(EDGE_COLUMNS, row, strict=True)) for row in edges.itertuples(index=False)],
    }


def component_csv(scores: ComponentScores, circuit: Circuit) -> str:
    """`component_edges` as CSV."""
    return to_csv(component_edges(scores, circuit))


def component_graphml(scores: ComponentScores, circuit: Circuit) -> str:
    """Directed, a parallel edge for each of a head's inputs; nodes have a kind and a layer."""
    import networkx as nx

    key = scores.key
    graph = nx.MultiDiGraph(
        checkpoint=printable(key.checkpoint), pairs=printable(key.pairs), metric=key.settings.metric,
        n_steps=key.settings.n_steps, n_pairs=int(scores.n_pairs.sum()),
    )  # fmt: skip
    for name in component_nodes(circuit):
        graph.add_node(name, label=name, **_place(name))
    for edge in component_edges(scores, circuit).itertuples():
        graph.add_edge(edge.source, edge.target, key=edge.input or "in", input=edge.input, score=edge.score)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(nx.generate_graphml(graph)) + "\n"


def _place(name: str) -> dict[str, Any]:
    return {field: value for field, value in vars(ComponentPlace.of(name)).items() if value is not None}
