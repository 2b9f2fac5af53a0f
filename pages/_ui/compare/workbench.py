"""Below Compare's choices: the linked graphs, what differs, and whatever was picked in them, inspected.

One fragment: a click in the graphs or the table, and every setting in here, draws only this part of the page again.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

import pandas as pd
import streamlit as st

from engine.analysis.carried import explained_sentence
from engine.analysis.focus import Focus, drawn_sentence, focus
from engine.analysis.origins import origins
from engine.domain.diffs import CHANGE, NOT_CHANGED, STATUSES, GraphDiff, Status
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import step_name
from engine.export.pair_formats import PAIR_FORMATS, ExportedPair
from engine.figures.graph_view import GraphView, pair_view
from engine.figures.map_view import DEEP
from engine.figures.tables import CHANGED, edge_table, neighbours
from engine.workflows.added_vocabulary import said_of_base, words_base_lacks
from engine.workflows.doubts import doubts_of
from pages._ui import url
from pages._ui.compare.choice import explanation, markdown, over_training, sentence, warn
from pages._ui.compare.data import difference, drawn, names_of
from pages._ui.compare.inspector import edge_title, inspect_edge, inspect_node, node_title
from pages._ui.compare.map import compare_map
from pages._ui.compare.mean_circuit import mean_circuit, prompts_behind
from pages._ui.compare.mean_map import mean_map
from pages._ui.compare.selection import (
    PAGE,
    PICKING,
    Selection,
    Shown,
    mark,
    marks,
    refuse_explained,
    settings_from_url,
    share_from_url,
)
from pages._ui.compare.settings import settings_menu
from pages._ui.compare.table import edge_table_widget, neighbour_table
from pages._ui.compare.taught import which_examples
from pages._ui.compare.timelapse import compare_these, timelapse_frames
from pages._ui.errors import guarded
from pages._ui.graphs.edge_table import MOST_ROWS, status_chips
from pages._ui.graphs.export_menu import export_menu
from pages._ui.graphs.linked_graphs import Marks, linked_graphs
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.text import plain

GRAPH_PX = 224  # with everything around it the page then fits 1280 × 720
DEEP_PX = 400  # of many layers: all of 30 are seen at once, and the page still fits
DEEP_LAPSE_PX = 300  # with the slider below it still on a page of 720
BELOW_PX = 143  # of the table, while nothing is picked
PICKED_PX = 380
TABLE_PX = 460


@st.fragment
@guarded()
def workbench(selection: Selection, view: str) -> None:
    """Everything about one selection. Where its circuits are not stored, how to get them."""
    if not selection.group and not selection.prompt:
        st.info("Write a prompt above: both checkpoints are compared on what follows it.", icon=":material/north:")
        return
    shown = _shown(selection, view)
    _what_base_lacks(selection)
    if view == "Map":
        (mean_map if selection.group else compare_map)(selection, shown)
        which_examples(selection)
        return
    mark(marks().without_places())
    diff = _difference(selection, shown)
    if diff is None:
        if not selection.group:
            compare_map(selection, shown, instead_of_graphs=True)  # needs none
        return
    shown = replace(shown, share=share_from_url(diff.a.n_layers))
    names = names_of(store(), diff)
    above = st.container()
    frame = None
    if view == "Time-lapse" and not selection.group:
        height = DEEP_LAPSE_PX if diff.a.n_layers > DEEP else GRAPH_PX
        frame = timelapse_frames(selection, diff, shown, names, height=height)
        selection, diff = frame.selection, frame.diff
    diff = drawn(diff, names.annotations, shown)
    if view == "Table":
        explanation(diff, explained_sentence(diff))
        warn(diff, selection, origins(diff))
    elif frame is None or frame.step is None:
        with above:
            sentence(diff, selection)
    if view == "Time-lapse" and selection.group:
        st.info("A time-lapse plays one prompt. Choose one of the prompts of this mean circuit below.")
    elif view in ("Graphs", "Overlay"):
        deep = diff.a.n_layers > DEEP
        among = _focus_now(diff, shown.share)
        graphs(view_of(diff, selection, among), names, overlay=view == "Overlay", deep=deep)
        _how_much(diff, among)
    _below(diff, selection, shown, names, frame.step if frame else None)


def _what_base_lacks(selection: Selection) -> None:
    refs = () if selection.group else (selection.a.ref, selection.b.ref)
    if words := words_base_lacks(store(), refs, selection.prompt):
        st.caption(plain(said_of_base(words)))


def _shown(selection: Selection, view: str) -> Shown:
    settings = settings_from_url()
    if selection.group:  # of many prompts the right answers are explained
        settings = settings.model_copy(update={"explained": None})
    return Shown(view=view, settings=settings, merged=url.read(PAGE, "grouped") == "1")


def _difference(selection: Selection, shown: Shown) -> GraphDiff | None:
    """None where it is not traced. What is to be explained and is no output of it is told, and not explained."""
    if selection.group:
        mean = mean_circuit(selection, shown)
        return mean.diff if mean else None
    explained = shown.settings.explained
    diff = difference(store(), selection, shown.settings)
    if diff is not None and explained is not None and diff.settings.explained is None:
        refuse_explained(explained)
    return diff


def view_of(diff: GraphDiff, selection: Selection, among: Focus) -> GraphView:
    """What is drawn of a difference; made once, as long as nothing that it is made from changes."""
    losses = [store().loss_words(side) for side in (selection.a, selection.b)]
    steps = {"step_a": selection.a.step, "step_b": selection.b.step}
    probe, doubts = selection.probe, doubts_of(store(), diff.a.key).text
    return _view(
        lambda: pair_view(diff, probe=probe, among=among, loss_a=losses[0], loss_b=losses[1], doubts=doubts, **steps),
        (*_content(diff), probe.id if probe else "", *losses, among.nodes, doubts),
    )


def _content(diff: GraphDiff) -> tuple[Hashable, ...]:
    """Equal for equal differences."""
    return (
        diff.a.key.to_json(), diff.b.key.to_json(), diff.settings.to_json(), len(diff.nodes), len(diff.edges),
        float(diff.edges[CHANGE].abs().sum()),
    )  # fmt: skip


def _focus_now(diff: GraphDiff, share: float) -> Focus:
    """What is drawn: all, or what carries the share of the change that is set; and always what is marked."""
    at, made_from = marks(), (*_content(diff), share)

    def make(also: frozenset[str]) -> Focus:
        return focus(diff, share, also)

    carrying = _focus(make, made_from, frozenset())
    marked = {*at.pins, *(at.edge or ()), *([at.selected] if at.selected else [])} & set(diff.nodes["id"])
    return carrying if marked <= carrying.nodes else _focus(make, made_from, frozenset(marked))


@kept()
def _focus(_make: Callable[[frozenset[str]], Focus], made_from: tuple[Hashable, ...], also: frozenset[str]) -> Focus:
    return _make(also)


def _how_much(diff: GraphDiff, among: Focus) -> None:
    """Says so where not all is drawn."""
    if drawn_what := drawn_sentence(diff, among):
        st.caption(f"{drawn_what} Settings draw more or fewer; the table has all.")


@kept()
def _view(_make: Callable[[], GraphView], made_from: tuple[Hashable, ...]) -> GraphView:
    return _make()


def graphs(view: GraphView, names: FeatureNames, *, overlay: bool, deep: bool = False) -> None:
    """The linked graphs; what a person marks in them goes into the address. `deep`: of many layers, drawn higher."""
    mark(
        linked_graphs(
            view, key=PICKING.key, mode="overlay" if overlay else "pair", marks=marks(),
            height=DEEP_PX if deep else GRAPH_PX, names=names,
        )
    )  # fmt: skip


def _below(diff: GraphDiff, selection: Selection, shown: Shown, names: FeatureNames, step: int | None) -> None:
    """`step`: the one that a time-lapse stands at."""
    at = marks()
    with PICKING.title_row(_title(diff, at, names, step)):
        if shown.view == "Time-lapse" and st.button(
            "Compare these two", icon=":material/compare_arrows:", type="tertiary", on_click=compare_these,
            args=(selection, diff), help="Open this step's two checkpoints as a comparison",
        ):  # fmt: skip
            st.rerun()
        settings_menu(diff, selection, shown)
        name = f"{selection.a.ref} {selection.b.ref} {diff.a.key.prompt}"
        pair = ExportedPair(
            diff, lambda: view_of(diff, selection, _focus_now(diff, shown.share)), selection.probe, names
        )
        export_menu(PAIR_FORMATS, pair, name=name)
    if at.selected:
        left, right = st.columns([5, 6], gap="medium")
        with left:
            _neighbours(diff, at.selected, names)
        with right:
            inspect_node(diff, selection, at, names, height=PICKED_PX)
        return
    beside = _beside(shown, selection, at)
    height = TABLE_PX if shown.view == "Table" else BELOW_PX
    if shown.view == "Table":
        _filter(at, diff.summary.edges)
    if beside is None:
        _all_edges(diff, at, names, height)
        return
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _all_edges(diff, at, names, height)
    with right:
        beside(diff)


def _title(diff: GraphDiff, at: Marks, names: FeatureNames, step: int | None) -> str:
    """`step`: of a time-lapse, whose counts stand beside its slider."""
    if at.selected:
        return node_title(diff, at.selected, names)
    if at.edge:
        return edge_title(diff, at.edge, names)
    if step is not None:
        what = "Edges" if diff.explained.is_same else "Largest changes"
        return f"**{what} at {step_name(step)}** :gray[· {markdown(explained_sentence(diff))}]"
    return f"**Edges from A to B** {status_chips(diff.summary.edges, STATUSES)}"


def _beside(shown: Shown, selection: Selection, at: Marks) -> Callable[[GraphDiff], None] | None:
    """What stands right of the table; None where the table has all the width."""
    edge = at.edge
    if edge:
        return lambda diff: inspect_edge(diff, edge)
    if shown.view in ("Table", "Time-lapse"):  # the time-lapse has its curves in its own strip
        return None
    if selection.group:
        return lambda diff: prompts_behind(selection, shown, height=BELOW_PX)
    return lambda diff: over_training(selection, height=BELOW_PX)


def _all_edges(diff: GraphDiff, at: Marks, names: FeatureNames, height: int) -> None:
    """Those that changed (all where none did), or those that the filter (statuses and smallest change) leaves."""
    changed = len(diff.edges) > sum(diff.summary.edges[status] for status in NOT_CHANGED)
    table = edge_table(
        diff, statuses=at.statuses or (CHANGED if changed else STATUSES), least=at.min_change, most=MOST_ROWS,
        names=names,
    )  # fmt: skip
    PICKING.pick_row(
        f"edges {at.statuses} {at.min_change}",
        lambda key: edge_table_widget(table, diff.explained.effect, height=height, key=key),
    )


def _filter(at: Marks, counts: Mapping[Status, int]) -> None:
    """The overlay's filter, where there is no overlay. `counts`: edges by status."""
    key = f"{PAGE} statuses"
    st.session_state[key] = list(at.statuses)
    offered = [status for status in STATUSES if status != "not kept" or counts[status] or status in at.statuses]
    st.pills(
        "Only these", offered, selection_mode="multi", key=key, on_change=_filtered, args=(key,),
        label_visibility="collapsed",
    )  # fmt: skip
    if not at.statuses and 0 < counts["unchanged"] < sum(counts.values()):
        st.caption("Not listed until it is chosen: what is unchanged, as it stayed or only scales with all else.")


def _filtered(key: str) -> None:
    chosen = st.session_state[key]
    mark(replace(marks(), statuses=tuple(status for status in STATUSES if status in chosen)))


def _neighbours(diff: GraphDiff, node: str, names: FeatureNames) -> None:
    inputs, outputs = neighbours(diff, node, names)
    tabs = st.tabs(("Inputs", "Outputs"), key="neighbours tab", on_change="rerun")  # only the open one is drawn
    for tab, table, are_inputs in zip(tabs, (inputs, outputs), (True, False), strict=True):
        if tab.open:
            with tab:
                _list(table, node, diff.explained.effect, inputs=are_inputs)


def _list(table: pd.DataFrame, node: str, effect: str, *, inputs: bool) -> None:
    PICKING.pick_row(
        f"inputs {node}" if inputs else f"outputs {node}",
        lambda key: neighbour_table(table, node, effect, inputs=inputs, height=PICKED_PX - 46, key=key),
    )
