"""A page with nothing but the linked graphs, for the browser tests and to look at (`streamlit run` this file).

Graphs are random but shaped like real ones; outputs and tokens carry markup, which must come through as text.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import streamlit as st

from engine.analysis.diff import diff_everything, diff_graphs
from engine.figures.graph_view import GraphView, pair_view
from pages._ui.linked_graphs import linked_graphs
from tests.analysis.micro_graphs import random_graph

HOSTILE = "<img src=x onerror=window.hacked=1>"


@st.cache_resource
def small(seed: int) -> GraphView:
    """About 60 nodes a side."""
    a, b = (
        replace(
            random_graph(s, n_features=180, pool=60, n_logits=6, density=0.2), target_tokens=outputs(), tokens=words()
        )
        for s in (seed, seed + 1)
    )
    return pair_view(diff_graphs(a, b), loss_a=0.8, loss_b=1.78)


@st.cache_resource
def large() -> GraphView:
    """1,500 nodes and 40,000 edges, all of them sent."""
    graph = random_graph(1, n_features=1430, n_layers=6, n_pos=8, pool=120, n_edges=40_000)
    return pair_view(diff_everything(graph, replace(graph, weight=graph.weight * graph.weight)))


def outputs() -> tuple[str, ...]:
    return ("smiles", "laughs", "cries", "feels", HOSTILE, "wins")


def words() -> tuple[str, ...]:
    return ("<bos>", "the", HOSTILE, "feels")


st.set_page_config(layout="wide", page_title="Linked graphs")
which = st.segmented_control("Graph", ["first", "second", "large"], default="first")
mode = st.segmented_control("View", ["pair", "overlay"], default="pair")
view = large() if which == "large" else small(1 if which == "first" else 11)
node = linked_graphs(view, key="graphs", mode="overlay" if mode == "overlay" else "pair")
st.write(f"nodes {len(view.nodes)}, edges {len(view.edges['from'])}")
st.text(f"selected: {node}")
