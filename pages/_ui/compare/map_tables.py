"""The tables below Compare's Map. A row that is picked marks its place or move in the Map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import streamlit as st

from engine.analysis.acted import effect_table, layer_name
from engine.domain.acted import Acted
from engine.domain.diffs import GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import decimal, signed
from engine.figures.map_tables import carrying, head_rows, matrix_rows, move_rows, place_rows, word_rows
from engine.figures.map_view import MapView
from engine.figures.names import visible
from pages._ui.compare.selection import MAP_PICKING
from pages._ui.graphs.picking import Edge

MOST_ROWS = 200  # sent to the browser; a real model has thousands of places
_NUMBER = st.column_config.NumberColumn
_PART = _NUMBER("part", help="What it adds to the change of the logit.")
_EFFECT = _NUMBER(
    "effect",
    help="What the answer would lose, about, if this MLP or head wrote in B what it wrote in A: its change times the "
    "mean of the gradients in A and B.",
)
ERROR = "±"
_IDS = ("id", "source", "target")
_DIGITS = 3


@dataclass(frozen=True)
class MapTable:
    """One table: made only where it is shown."""

    name: str
    rows: Callable[[], pd.DataFrame]


def acted_tables(view: MapView, acted: Acted) -> tuple[MapTable, ...]:
    most = () if acted.effects is None else (MapTable("What matters most", partial(_effects, acted)),)
    return (
        MapTable("Places", partial(place_rows, view)),
        MapTable(f"{view.unit.capitalize()}s", partial(word_rows, view)),
        MapTable("Matrices", partial(matrix_rows, acted)),
        MapTable("Heads", partial(head_rows, acted)),
        *most,
    )


def carried_tables(view: MapView, diff: GraphDiff, names: FeatureNames) -> tuple[MapTable, ...]:
    return (
        MapTable(
            "Places" if diff.explained.is_same else "Places that changed most",
            partial(_with_features, view, diff, names),
        ),
        MapTable(f"What moves between {view.unit}s", partial(move_rows, view)),
    )


def draw_tables(tables: Sequence[MapTable], *, key: str, height: int) -> None:
    """Tabs of them; only the open one is made."""
    for table, tab in zip(tables, st.tabs([t.name for t in tables], key=f"map {key}", on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                _draw(table, height=height - 46)


def _draw(table: MapTable, *, height: int) -> None:
    rows = table.rows().head(MOST_ROWS)
    if not {"id", "source"} & set(rows.columns):
        show_rows(rows, height=height, key=f"map table {table.name}")
        return
    MAP_PICKING.pick_row(f"map {table.name}", lambda key: show_rows(rows, height=height, key=key, pick=True))


def show_rows(rows: pd.DataFrame, *, height: int, key: str, pick: bool = False) -> Edge | str | None:
    """Rows with their figures signed; of rows that can be picked, the id (or the two ends) of the one that is."""
    unknown = rows.columns[rows.isna().all()] if len(rows) else ()  # intervals of too few words
    shown = [column for column in rows.columns if column not in (*_IDS, *unknown)]
    figures = [column for column in shown if rows[column].dtype.kind == "f"]
    config = {column: _NUMBER(column) for column in figures} | {"part": _PART, "effect": _EFFECT}
    texts = {column: partial(decimal if column == ERROR else signed, digits=_DIGITS) for column in figures}
    styled = rows.style.format(texts)  # type: ignore[arg-type]  # formatters by column; its own has no true minus
    high = min(height, 38 + 27 * max(1, len(rows)))
    if not pick:
        st.dataframe(
            styled, hide_index=True, row_height=27, column_order=shown, column_config=config, height=high, key=key
        )
        return None
    picked = st.dataframe(
        styled, hide_index=True, row_height=27, column_order=shown, column_config=config, height=high, key=key,
        on_select="rerun", selection_mode="single-row",
    )["selection"]["rows"]  # fmt: skip
    if not picked or picked[0] >= len(rows):
        return None
    row = rows.iloc[picked[0]]
    return str(row["id"]) if "id" in rows else (str(row["source"]), str(row["target"]))


def _with_features(view: MapView, diff: GraphDiff, names: FeatureNames) -> pd.DataFrame:
    rows = place_rows(view).head(MOST_ROWS)
    named = carrying(diff, view, rows["id"].tolist(), names)
    rows.insert(len(rows.columns) - 1, "features that carry it", named)
    return rows


def _effects(acted: Acted) -> pd.DataFrame:
    """layer, kind, token, effect, and the place's id."""
    effects = effect_table(acted).head(MOST_ROWS)
    kinds = [
        kind if head is None else f"head {head}" for kind, head in zip(effects["kind"], effects["head"], strict=True)
    ]
    return pd.DataFrame(
        {
            "layer": [layer_name(layer, acted.n_layers) for layer in effects["layer"]],
            "kind": kinds,
            "token": [visible(token) for token in effects["token"]],
            "effect": effects["effect"],
            "id": [f"place/{layer}/{at}/{at}" for layer, at in zip(effects["layer"], effects["position"], strict=True)],
        }
    )
