"""A page with nothing but the linked graphs, for the browser tests and to look at (`streamlit run` this file).

Graphs are random but shaped like real ones; outputs, tokens and labels carry markup, which must come through as text.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import pandas as pd
import streamlit as st

from engine.analysis.diff import diff_everything, diff_graphs
from engine.analysis.supernodes import merge_supernodes
from engine.domain.annotations import Annotations, Supernode
from engine.domain.feature_names import AutomaticLabels, FeatureNames, FoundLabels
from engine.domain.graphs import AttributionGraph
from engine.domain.timelapse import Moment
from engine.figures.graph_view import GraphView, pair_view
from engine.figures.timelapse_view import TimelapseView, timelapse_view
from pages._ui.graphs.linked_graphs import Marks, linked_graphs
from tests.analysis.micro_graphs import probe, random_graph

HOSTILE = "<img src=x onerror=window.hacked=1>"
STEPS = (0, 10, 20, 60, 105, 150, 200, 300)
TRACED = (0, 10, 60, 105, 200, 300)


def graph(seed: int, checkpoint: str) -> AttributionGraph:
    """About 60 nodes after pruning."""
    made = random_graph(seed, n_features=180, pool=60, n_logits=6, density=0.2, checkpoint=checkpoint)
    key = made.key.model_copy(update={"transcoders_hash": "a0"})
    return replace(made, key=key, target_tokens=outputs(), tokens=words())


@st.cache_resource
def small(seed: int) -> GraphView:
    diff = diff_graphs(graph(seed, "run@base"), graph(seed + 1, "run@base"))
    return pair_view(diff, probe=probe("x", "cries"), loss_a="loss 0.80", loss_b="loss 1.78")


@st.cache_resource
def large() -> GraphView:
    """1,500 nodes and 40,000 edges, all of them sent."""
    graph = random_graph(1, n_features=1430, n_layers=6, n_pos=8, pool=120, n_edges=40_000)
    return pair_view(diff_everything(graph, replace(graph, weight=graph.weight * graph.weight)))


@st.cache_resource
def timelapse() -> TimelapseView:
    """A run that changes from step to step; one of its checkpoints is not traced."""
    moments = [Moment(step, f"one@step{step}", f"two@step{step}") for step in STEPS]
    diffs = {
        moment.step: diff_graphs(graph(place + 1, moment.a), graph(place + 2, moment.b))
        for place, moment in enumerate(moments)
        if moment.step in TRACED
    }
    losses = {ref: f"loss {2 - moment.step / 200:.2f}" for moment in moments for ref in (moment.a, moment.b)}
    scores = {"one": learning(1.0), "two": learning(0.6)}
    return timelapse_view(moments, diffs, scores, probe=probe("x", "cries"), losses=losses)


def learning(top: float) -> pd.DataFrame:
    """Two probe kinds of two constraint types, rising to `top`."""
    rows = [
        (step, constraint, kind, top * (1 - np.exp(-step / (80 if kind == "paraphrase" else 160))))
        for step in STEPS
        for constraint in ("simple_mapping", "spatial_relationship")
        for kind in ("paraphrase", "inference", "recall")
    ]
    return pd.DataFrame(rows, columns=["step", "constraint_type", "probe_kind", "accuracy"]).assign(n=8)


def notes() -> Annotations:
    """Labels on the first features of the first graph, one of them with markup; a group of three."""
    features = [node for node in small(1).nodes if node["kind"] == "feature"]
    names = list(dict.fromkeys(f"{node['layer']}/{node['index']}" for node in features))
    labels = dict(zip(names, (HOSTILE, "animals that feel", "joy"), strict=False))
    return Annotations(
        transcoders_hash="a0", labels=labels, supernodes=(Supernode(name=f"happy {HOSTILE}", features=names[2:5]),)
    )


def measured() -> AutomaticLabels:
    """Automatic labels of the first six features, three of which a person labelled."""
    features = [node for node in small(1).nodes if node["kind"] == "feature"]
    names = list(dict.fromkeys(f"{node['layer']}/{node['index']}" for node in features))[:6]
    found = {name: ([f"blarf{place}", HOSTILE], ["happy"]) for place, name in enumerate(names)}
    return AutomaticLabels(transcoders_hash="a0").added(FoundLabels(("run@base",), 10, found))


def outputs() -> tuple[str, ...]:
    return ("smiles", "laughs", "cries", "feels", HOSTILE, "wins")


def words() -> tuple[str, ...]:
    return ("<bos>", "the", HOSTILE, "feels")


@st.cache_resource
def grouped() -> GraphView:
    """The first graph with the features of a group merged."""
    return pair_view(merge_supernodes(diff_graphs(graph(1, "run@base"), graph(2, "run@base")), notes()))


VIEWS = {
    "first": lambda: small(1),
    "second": lambda: small(11),
    "large": large,
    "timelapse": timelapse,
    "grouped": grouped,
}

st.set_page_config(layout="wide", page_title="Linked graphs")
with st.container(horizontal=True):
    which = st.segmented_control("Graph", list(VIEWS), default="first", label_visibility="collapsed")
    mode = st.segmented_control("View", ["pair", "overlay"], default="pair", label_visibility="collapsed")
    noted = st.toggle("notes")
    ordered = st.text_input("Order", label_visibility="collapsed", placeholder="marks as text")
view = VIEWS[which or "first"]()
before = st.session_state.get("marks", "")
if ordered and ordered != st.session_state.get("ordered"):
    before = ordered  # as a row of a table that is clicked, or an address that is opened
    st.session_state["ordered"] = ordered
marks = linked_graphs(
    view,
    key="graphs",
    mode="overlay" if mode == "overlay" else "pair",
    marks=Marks.from_text(before),
    names=FeatureNames.of(notes(), measured()) if noted else None,
)
st.session_state["marks"] = marks.to_text()
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
if isinstance(view, GraphView):
    st.write(f"nodes {len(view.nodes)}, edges {len(view.edges['from'])}")
st.text(f"selected: {marks.selected}")
st.text(f"marks: {marks.to_text()}")
st.text(f"runs: {st.session_state['runs']}")
