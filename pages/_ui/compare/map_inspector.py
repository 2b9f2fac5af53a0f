"""What is marked in Compare's Map: of a place its matrices, heads and features, of a move the layers that carry it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pandas as pd
import streamlit as st

from engine.analysis.word_pieces import TokenSpan
from engine.domain.acted import Acted
from engine.domain.diffs import GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import signed
from engine.figures.map_tables import (
    feature_rows,
    heads_at,
    layers_of_move,
    matrices_at,
    place_id,
    place_of,
)
from engine.figures.map_view import MapView
from engine.figures.names import visible
from pages._ui.compare.data import names_of
from pages._ui.compare.inspector import inspect_node, node_title
from pages._ui.compare.map_tables import show_rows
from pages._ui.compare.selection import MAP_PICKING, Selection
from pages._ui.graphs.marks import Marks
from pages._ui.session import store
from pages._ui.text import plain

_HEAD_PX, _NOTE_PX = 46, 30  # of a title or a row of tabs; of a line below a table
FEATURES = "Features"
KEPT = "Those that the graphs keep. With the others, and what features do not explain, they add up to the place."


Tables = Mapping[str, pd.DataFrame]  # by the names of their tabs


def inspect_marked(
    view: MapView, at: Marks, diff: GraphDiff | None, selection: Selection, *, height: int,
    acted: Callable[[int, TokenSpan], Tables] | None = None,
    readers: Callable[[TokenSpan, TokenSpan], pd.DataFrame] | None = None,
) -> None:  # fmt: skip
    """`diff`: what is stored of this prompt; `acted`: what training changed at a layer and word; `readers`: of a move,
    where not the difference's own."""
    names = None if diff is None else names_of(store(), diff)
    if at.edge:
        found = readers or (partial(layers_of_move, diff) if diff else None)
        _move(view, at.edge, found, height=height)
    elif at.selected and at.selected.startswith("place/"):
        _place(view, at.selected, diff, names, acted, height=height)
    elif at.selected and diff is not None and names is not None:
        _node(view, at, diff, names, selection, height=height)


def _node(view: MapView, at: Marks, diff: GraphDiff, names: FeatureNames, selection: Selection, *, height: int) -> None:
    """A feature, on the way back to its place."""
    node = at.selected or ""
    place = place_of(view, node)
    with _title(node_title(diff, node, names)):
        if place is not None:
            st.button(
                view.place_name(*place), icon=":material/arrow_back:", type="tertiary", on_click=MAP_PICKING.choose,
                args=(place_id(view, *place),), help="Back to its place in the Map",
            )  # fmt: skip
    inspect_node(diff, selection, at, names, height=height - _HEAD_PX)


@contextmanager
def _title(text: str) -> Iterator[None]:
    """What is marked, the way back to no mark, and what else its body adds."""
    told, ways = st.columns([3, 1.3], vertical_alignment="center", gap="small")
    told.markdown(text)
    with ways, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        yield
        st.button(
            "Clear", icon=":material/close:", type="tertiary", on_click=MAP_PICKING.clear, help="Esc", key="clear map"
        )


def changed_at(acted: Acted, layer: int, span: TokenSpan) -> Tables:
    """The matrices and heads of a place of one prompt that training changed, or two runs differ in."""
    return {"Matrices that differ": matrices_at(acted, layer, span), "Heads": heads_at(acted, layer, span)}


def _place(
    view: MapView, name: str, diff: GraphDiff | None, names: FeatureNames | None,
    acted: Callable[[int, TokenSpan], Tables] | None, *, height: int,
) -> None:  # fmt: skip
    place = place_of(view, name)
    if place is None:
        st.caption("The selected place is not on this map. Esc clears it.")
        return
    row, column = place
    layer, span = row + view.first_layer, view.spans[column]
    with _title(f"**{plain(view.place_name(row, column))}** :gray[· {_figures(view, row, column)}]"):
        pass
    found: dict[str, pd.DataFrame] = {}
    if diff is not None and names is not None and 0 <= layer < diff.a.n_layers:
        found[FEATURES] = feature_rows(diff, layer, span, names)
    found |= acted(layer, span) if acted else {}
    parts = {title: rows for title, rows in found.items() if len(rows)}
    if not parts:
        st.caption("Nothing more is stored of this place.")
        return
    for (title, rows), tab in zip(
        parts.items(), st.tabs(list(parts), key="map place tab", on_change="rerun"), strict=True
    ):
        if tab.open:
            with tab:
                _part(title, rows, name, height=height - 2 * _HEAD_PX - _NOTE_PX)
                if note := _note(view, title):
                    st.caption(note)


def _note(view: MapView, title: str) -> str:
    """What the figures of a tab are, where they are not parts of the figure in the title."""
    if (title == FEATURES) == (view.picture == "carried"):
        return KEPT if title == FEATURES else ""
    of, shown = "What carries the answer", "this picture"
    if view.picture == "carried":
        of, shown = "Where the matrices differ", "what carries the answer"
    return f"{of}: another measure than {shown}, whose figure it does not add up to."


def _part(title: str, rows: pd.DataFrame, place: str, *, height: int) -> None:
    if "id" not in rows:
        show_rows(rows, height=height, key=f"map {title} {place}")
        return
    if not rows["label"].any():
        rows = rows.drop(columns="label")
    MAP_PICKING.pick_row(f"features {place}", lambda key: show_rows(rows, height=height, key=key, pick=True))


def _figures(view: MapView, row: int, column: int) -> str:
    values = view.frames[-1].places[:, row, column].tolist()
    if len(values) == 1:
        return f"{signed(values[0])} of the change"
    return f"A {signed(values[0])}, B {signed(values[1])}, change {signed(values[2])}"


def _move(
    view: MapView, edge: tuple[str, str], readers: Callable[[TokenSpan, TokenSpan], pd.DataFrame] | None, *, height: int
) -> None:
    ends = [place_of(view, end) for end in edge]
    if readers is None or None in ends:
        st.caption("The selected move is not on this map. Esc clears it.")
        return
    source, target = (view.spans[end[1]] for end in ends if end is not None)
    ends_named = f"{plain(visible(source.text))} → {plain(visible(target.text))}"
    with _title(f"**{ends_named}** :gray[· by the layer that reads it]"):
        pass
    rows = readers(source, target)
    show_rows(rows, height=height - _HEAD_PX, key=f"map move {edge}")
