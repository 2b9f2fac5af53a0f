"""Compare's Map of many prompts: what carries their right answers on average, slots across; where training acted."""

from collections.abc import Hashable
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.carried import explained_sentence
from engine.analysis.headline import as_text, headline
from engine.analysis.mean_parts import STANDARD_ERRORS, MeanParts, mean_parts, mean_reads, mean_sentence
from engine.analysis.word_pieces import TokenSpan
from engine.figures.map_tables import carrying, move_rows, place_of, place_rows, read_rows
from engine.figures.map_view import MapView, mean_view
from engine.workflows.doubts import doubts_of
from pages._ui.compare.choice import told
from pages._ui.compare.data import names_of
from pages._ui.compare.map import (
    TABLE_PX,
    draw_map,
    export_map,
    in_pieces,
    kept_view,
    picture_of,
    pieces_switch,
    steps_of,
    what_marks_are,
)
from pages._ui.compare.map_inspector import inspect_marked
from pages._ui.compare.map_tables import ERROR, MOST_ROWS, MapTable, draw_tables
from pages._ui.compare.mean_acted import mean_acted
from pages._ui.compare.mean_circuit import MeanCircuit, is_traced, mean_circuit, prompts_behind
from pages._ui.compare.selection import Selection, Shown
from pages._ui.compare.settings import settings_menu
from pages._ui.errors import guarded
from pages._ui.graphs.marks import Marks
from pages._ui.kept import kept
from pages._ui.session import store


@guarded()
def mean_map(selection: Selection, shown: Shown) -> None:
    """Of what is stored of the prompts; the way to have the others."""
    traced = is_traced(selection, shown)
    above, controls = st.columns([3, 1.9], gap="medium", vertical_alignment="top")
    with controls:
        picture = picture_of(selection, "carried" if traced else "acted")
        tools = st.container(horizontal=True, vertical_alignment="center", gap="small")
    if picture == "acted":
        mean_acted(selection, above, tools)
        return
    with above:
        mean = mean_circuit(selection, shown)
    if mean is not None:
        _carried(selection, shown, mean, above, tools)


def _carried(
    selection: Selection, shown: Shown, mean: MeanCircuit, above: DeltaGenerator, tools: DeltaGenerator
) -> None:
    pieces, diff = in_pieces(), mean.diff
    found = _mean_parts(mean, (*mean.made_from, pieces), joined=not pieces)
    view = kept_view(lambda: mean_view(found, diff, steps_of(selection)), ("mean", *mean.made_from, pieces))
    at = draw_map(view)
    what_marks_are(view)
    answers, carried = headline(diff), (*explained_sentence(diff), (" ", False), *mean_sentence(diff.explained, found))
    with above:
        told(diff, selection, answers, carried, found.origins)
    with tools:
        pieces_switch(view)
        settings_menu(diff, selection, shown)
        text = " ".join(as_text(one) for one in (answers, carried))
        doubts = doubts_of(store(), diff.a.key).text
        export_map(view, selection, f"{text} {doubts}".strip(), subject=diff.a.key.prompt)
    _below(view, at, mean, found, selection, shown)


@kept()
def _mean_parts(_mean: MeanCircuit, made_from: tuple[Hashable, ...], *, joined: bool) -> MeanParts:
    return mean_parts(_mean.parts, _mean.diff.explained.scale, joined=joined)


def _below(view: MapView, at: Marks, mean: MeanCircuit, found: MeanParts, selection: Selection, shown: Shown) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        tables = (
            MapTable(
                "Places" if mean.diff.explained.is_same else "Places that changed most",
                partial(_places, view, mean, found),
            ),
            MapTable(f"What moves between {view.unit}s", partial(_moves, view, found)),
        )
        draw_tables(tables, key="mean", height=TABLE_PX)
        st.caption(
            f"{ERROR}: {STANDARD_ERRORS:g} standard errors of the change, over prompts. A smaller one may be chance."
        )
    with right:
        if at.selected or at.edge:
            readers = partial(_readers, mean)
            inspect_marked(view, at, mean.diff, selection, height=TABLE_PX, readers=readers)
        else:
            prompts_behind(selection, shown, height=TABLE_PX)


def _places(view: MapView, mean: MeanCircuit, found: MeanParts) -> pd.DataFrame:
    rows = place_rows(view).head(MOST_ROWS)
    at = [place_of(view, name) or (0, 0) for name in rows["id"]]
    rows.insert(5, ERROR, [STANDARD_ERRORS * found.place_error[place] for place in at])
    names = names_of(store(), mean.diff)
    rows.insert(6, "features that carry it", carrying(mean.diff, view, rows["id"].tolist(), names))
    return rows


def _moves(view: MapView, found: MeanParts) -> pd.DataFrame:
    rows = move_rows(view).head(MOST_ROWS)
    ends = [[(place_of(view, name) or (0, 0))[1] for name in rows[end]] for end in ("target", "source")]
    rows.insert(5, ERROR, STANDARD_ERRORS * found.move_error[ends[0], ends[1]])
    return rows


def _readers(mean: MeanCircuit, source: TokenSpan, target: TokenSpan) -> pd.DataFrame:
    return read_rows(*mean_reads(mean.parts, source, target), scale=mean.diff.explained.scale)
