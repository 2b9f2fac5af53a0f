"""The circuits of two checkpoints: one sentence, the linked graphs, the table of edges, what was picked in them.

One fragment: a click in the graphs or the table draws only this part of the page again.
"""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import streamlit as st

from engine.domain.components import CIRCUIT_STATUSES, ComponentKey
from engine.domain.edge_measures import EDGE_MEASURES, EdgeMeasure
from engine.domain.numbers import count, plural, step_name
from engine.domain.runs import Checkpoint
from engine.export.circuit_formats import CIRCUIT_FORMATS, ComparedCircuits
from engine.figures.component_view import ComponentSide, ComponentView, unlearned
from engine.figures.map_view import DEEP
from pages._ui.circuits.choice import PICKING, CircuitChoice
from pages._ui.circuits.data import edges_of, nodes_of, view_of
from pages._ui.circuits.heads import heads
from pages._ui.circuits.sides import PARTS, found_with, idle, sides_of
from pages._ui.circuits.table import edge_parts, edge_rows, edge_title, node_title, one_circuit
from pages._ui.circuits.words import moved, node_counts, sentence, status_counts, uncertain
from pages._ui.errors import guarded
from pages._ui.graphs.edge_table import status_chips
from pages._ui.graphs.export_menu import export_menu
from pages._ui.graphs.linked_graphs import Marks, linked_graphs

GRAPH_PX, DEEP_PX, TABLE_PX = 290, 450, 250
_HOW_TO_READ = (
    "An **edge** is what one part passes to another; its **effect** is how much the right answer depends on it. The "
    "strongest are the **circuit**."
)


@st.fragment
@guarded()
def circuits(chosen: CircuitChoice, keys: Mapping[int, ComponentKey]) -> None:
    """Everything about one selection whose circuits are stored. `keys`: of the run's circuits, by step."""
    if chosen.mode == "map":
        heads(chosen, keys)
        return
    a, b = sides_of(chosen, keys)
    edges, nodes = (of(a, b, chosen.share, chosen.how) for of in (edges_of, nodes_of))
    view = view_of(a, b, chosen.share, chosen.how)
    summary = sentence(status_counts(edges), node_counts(nodes), step_a=chosen.a.step, step_b=chosen.b.step)
    st.markdown(f"{summary}{moved(edges)}{_unlearned(view)}{uncertain(idle(a, b))}", width="stretch")
    found_with(b.scores, _HOW_TO_READ, PARTS)
    deep = a.scores.shape.n_layers > DEEP
    PICKING.mark(
        linked_graphs(
            view, key=PICKING.key, marks=PICKING.marks(), height=DEEP_PX if deep else GRAPH_PX,
            mode="overlay" if chosen.mode == "difference" else "pair",
        )
    )  # fmt: skip
    if len(view.edges["from"]) < len(edges):
        st.caption(
            f"In the picture are {count(len(view.edges['from']))} of {plural(len(edges), 'edge')}, those that matter "
            "most to either side. The export has all."
        )
    _below(edges, nodes, a, b)


@guarded()
def alone(chosen: CircuitChoice, one: Checkpoint, keys: Mapping[int, ComponentKey]) -> None:
    """The circuit of the one side that has one, while there is nothing to compare it with."""
    _, side = sides_of(replace(chosen, a=one, b=one), keys)
    edges, nodes = (of(side, side, chosen.share, chosen.how) for of in (edges_of, nodes_of))
    parts = plural(node_counts(nodes)["in both"], "head or MLP", "heads and MLPs")
    ahead = " The right answer is not ahead." if unlearned(side.scores) else ""
    st.markdown(f"The circuit of {step_name(one.step)}: **{plural(len(edges), 'edge')}** between **{parts}**.{ahead}")
    found_with(side.scores, _HOW_TO_READ, PARTS)
    one_circuit(edges, EDGE_MEASURES[chosen.metric], height=TABLE_PX)


def _unlearned(view: ComponentView) -> str:
    """A sentence on the sides whose circuits are not circuits of answering right."""
    sides = [name for name, side in zip("AB", view.sides, strict=True) if side["warning"]]
    if not sides:
        return ""
    return f" In {' and '.join(sides)} the right answer is not ahead."


def _below(edges: pd.DataFrame, nodes: pd.DataFrame, a: ComponentSide, b: ComponentSide) -> None:
    at = PICKING.marks()
    measure = EDGE_MEASURES[a.scores.key.settings.metric]
    with PICKING.title_row(_title(edges, nodes, at)):
        name = f"{a.scores.key.checkpoint} {b.scores.key.checkpoint} circuits"
        export_menu(CIRCUIT_FORMATS, ComparedCircuits(edges, a.scores, b.scores), name=name)
    if at.selected:
        of_node = edges[(edges["source"] == at.selected) | (edges["target"] == at.selected)].reset_index(drop=True)
        if of_node.empty:
            st.caption("Neither circuit has an edge here. Press Esc to clear the selection.")
        else:
            PICKING.pick_row(
                f"circuit edges {at.selected}", lambda key: edge_rows(of_node, measure, height=TABLE_PX, key=key)
            )
    elif at.edge:
        left, right = st.columns([2, 1], gap="medium")
        with left:
            _all_edges(edges, at, measure)
        with right:
            edge_parts(edges, at.edge)
    else:
        _all_edges(edges, at, measure)


def _title(edges: pd.DataFrame, nodes: pd.DataFrame, at: Marks) -> str:
    if at.selected:
        return node_title(nodes, at.selected)
    return (
        edge_title(nodes, at.edge)
        if at.edge
        else f"**Edges from A to B** {status_chips(status_counts(edges), CIRCUIT_STATUSES)}"
    )


def _all_edges(edges: pd.DataFrame, at: Marks, measure: EdgeMeasure) -> None:
    """All of them, or those that the difference's filter leaves."""
    if at.statuses:
        edges = edges[edges["status"].isin(at.statuses)].reset_index(drop=True)
    PICKING.pick_row(f"circuit edges {at.statuses}", lambda key: edge_rows(edges, measure, height=TABLE_PX, key=key))
