"""What was picked in the graphs, for A and B side by side: a node with what it stands for, or an edge."""

import pandas as pd
import streamlit as st

from engine.domain.annotations import Annotations
from engine.domain.diffs import FLOW, PART, SHARE, WEIGHT, GraphDiff, edge_effect, without_unknown
from engine.domain.numbers import decimal, signed
from engine.figures.map_tables import feature_label
from engine.figures.tables import node_names
from pages._ui.compare.labels import label_form
from pages._ui.compare.look_up import facts_or_progress
from pages._ui.compare.selection import Selection
from pages._ui.compare.try_it import try_it
from pages._ui.errors import guarded
from pages._ui.graphs.linked_graphs import Marks
from pages._ui.text import plain

TABS = ("What it stands for", "Try it", "Label and group")


@guarded()
def inspect_node(diff: GraphDiff, selection: Selection, at: Marks, annotations: Annotations, *, height: int) -> None:
    """Its figures on both sides; for a feature its label, what it stands for, and what changing it does."""
    found = diff.nodes[diff.nodes["id"] == at.selected]
    if found.empty:
        st.caption("The selected node is not in these graphs, or is not kept at these settings. Esc clears it.")
        return
    row = found.iloc[0]
    if row["kind"] == "feature":
        meaning, trying, writing = st.tabs(TABS, key="inspector tab", on_change="rerun")  # only the open one is drawn
        if meaning.open:
            with meaning:
                facts_or_progress(diff, (int(row["layer"]), int(row["index"])), height=height - 46)
        elif trying.open:
            with trying:
                try_it(diff, selection, at, annotations)
        elif writing.open:
            with writing:
                label_form(diff, at, annotations)
    elif row["kind"] == "supernode":
        try_it(diff, selection, at, annotations)
    else:
        st.caption(_WHAT[row["kind"]])


def node_title(diff: GraphDiff, node: str, annotations: Annotations) -> str:
    """Its name, label, status, and figures on both sides, in one line."""
    found = diff.nodes[diff.nodes["id"] == node]
    if found.empty:
        return f"**{plain(node)}**"
    row = found.iloc[0]
    label = feature_label(annotations, int(row["layer"]), int(row["index"])) if row["kind"] == "feature" else ""
    named = f"**{_name(diff, node)}**" + (f" “{plain(label)}”" if label else "")
    return f"{named} · {row['status']} :gray[· {_figures(row)}]"


def edge_title(diff: GraphDiff, edge: tuple[str, str]) -> str:
    """Its ends."""
    return f"**{_name(diff, edge[0])} → {_name(diff, edge[1])}**"


_WHAT = {
    "error": "The part of this layer’s MLP output at this token that the features do not explain.",
    "token": "A token of the prompt, where the computation begins.",
    "logit": "A possible next token, where the computation ends.",
}


def _figures(row: pd.Series) -> str:
    """Of a row of the difference's nodes."""
    part = f"part A {signed(row[PART['a']])}, B {signed(row[PART['b']])}"
    if row["kind"] == "logit":
        explained = row[PART["a"]] or row[PART["b"]]
        return f"probability A {decimal(row['a'], 3)}, B {decimal(row['b'], 3)}" + (f" · {part}" if explained else "")
    text = f"{part} · influence A {decimal(row['a'], 3)}, B {decimal(row['b'], 3)}"
    if row["kind"] == "feature":
        text += f" · activation A {decimal(row['activation_a'])}, B {decimal(row['activation_b'])}"
    return text


@guarded()
def inspect_edge(diff: GraphDiff, edge: tuple[str, str]) -> None:
    """One edge's figures on both sides."""
    found = diff.edges[(diff.edges["source"] == edge[0]) & (diff.edges["target"] == edge[1])]
    if found.empty:
        st.caption("The selected edge is not in these graphs, or is not kept at these settings.")
        return
    status = found.iloc[0]["status"]
    st.markdown("Not kept on one side" if status == "not kept" else f"{status.capitalize()} from A to B")
    st.dataframe(edge_figures(found), hide_index=True, height="content", row_height=27)


def edge_figures(edge: pd.DataFrame) -> pd.DataFrame:
    """Weight, share and flow of one edge (a row of a difference's edges), each with its change, and what the change of
    the weight does to the logit; a dash where a side did not keep it."""
    figures = {"weight": WEIGHT, "share of the target's input": SHARE, "flow, in logits": FLOW}
    known = without_unknown(edge).iloc[0]
    values = {name: [round(float(known[column[side]]), 3) for side in "ab"] for name, column in figures.items()}
    return pd.DataFrame(
        {
            "": [*values, "effect of the change of weight, in logits"],
            "A": [*(signed(a, 3) for a, _ in values.values()), ""],
            "B": [*(signed(b, 3) for _, b in values.values()), ""],
            "change, B − A": [
                *(signed(b - a, 3) for a, b in values.values()), signed(float(edge_effect(edge).iloc[0]), 3)
            ],
        }
    )  # fmt: skip


def _name(diff: GraphDiff, node: str) -> str:
    return plain(node_names(diff).get(node, node))
