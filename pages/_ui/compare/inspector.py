"""What was picked in the graphs, for A and B side by side: a node with what it stands for, or an edge."""

import pandas as pd
import streamlit as st

from engine.domain.annotations import Annotations
from engine.domain.diffs import GraphDiff
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
        st.caption("The selected node is not in these graphs, or the settings do not keep it. Esc lets it go.")
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
    """Its name, label, what became of it, its figures on both sides: one line, so that the rest stays in sight."""
    found = diff.nodes[diff.nodes["id"] == node]
    if found.empty:
        return f"**{plain(node)}**"
    row = found.iloc[0]
    label = annotations.labels.get(f"{row['layer']}/{row['index']}", "") if row["kind"] == "feature" else ""
    named = f"**{_name(diff, node)}**" + (f" “{plain(label)}”" if label else "")
    return f"{named} · {row['status']} :gray[· {_figures(row)}]"


def edge_title(diff: GraphDiff, edge: tuple[str, str]) -> str:
    """Its ends."""
    return f"**{_name(diff, edge[0])} → {_name(diff, edge[1])}**"


_WHAT = {
    "error": "What the features leave unexplained of this layer's MLP at this token. It cannot be changed or read.",
    "token": "A token of the prompt: where the model's computation begins.",
    "logit": "A possible next token: where the computation ends.",
}


def _figures(row: pd.Series) -> str:
    """Of a row of the difference's nodes."""
    if row["kind"] == "logit":
        return f"probability A {row['a']:.3f}, B {row['b']:.3f}"
    text = f"part in the output A {row['a']:.3f}, B {row['b']:.3f}"
    if row["kind"] == "feature":
        text += f" · activation A {row['activation_a']:.2f}, B {row['activation_b']:.2f}"
    return text


@guarded()
def inspect_edge(diff: GraphDiff, edge: tuple[str, str]) -> None:
    """One edge's figures on both sides."""
    found = diff.edges[(diff.edges["source"] == edge[0]) & (diff.edges["target"] == edge[1])]
    if found.empty:
        st.caption("The selected edge is not in these graphs, or the settings do not keep it.")
        return
    row = found.iloc[0]
    st.markdown(f"{row['status'].capitalize()} from A to B")
    st.dataframe(
        {
            "": ["weight", "share of the target's input", "part in the output"],
            "A": [row["weight_a"], row["share_a"], row["contribution_a"]],
            "B": [row["weight_b"], row["share_b"], row["contribution_b"]],
        },
        hide_index=True,
        height="content",
        row_height=27,
        column_config={side: st.column_config.NumberColumn(side, format="%+.4f") for side in "AB"},
    )


def _name(diff: GraphDiff, node: str) -> str:
    return plain(node_names(diff).get(node, node))
