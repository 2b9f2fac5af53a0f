"""Edges as a table whose rows can be picked, and the counts of edges by status. Each page chooses its columns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import streamlit as st

from engine.domain.numbers import count
from engine.figures.palette import STATUS
from pages._ui.graphs.picking import Edge

MOST_ROWS: Final = 250  # sent to the browser, the largest change first; the download has all
# As the graphs color it: orange gained, blue lost.
BADGES: Final[Mapping[str, str]] = {
    "appeared": "orange", "strengthened": "orange", "vanished": "blue", "weakened": "blue", "flipped": "violet",
    "unchanged": "gray", "not kept": "gray", "in both": "gray",
}  # fmt: skip
_STATUS = "status"


@dataclass(frozen=True)
class EdgeColumn:
    """How a column is shown. `text`: how its numbers are written (None: it holds text); they sort as numbers."""

    label: str
    width: int
    text: Callable[[float], str] | None = None
    explain: str | None = None


def edge_table(edges: pd.DataFrame, columns: Mapping[str, EdgeColumn], *, height: int, key: str) -> Edge | None:
    """A row an edge: `columns` in their order, the status last where it is not one of them. The edge whose row a person
    picked, if any.

    `edges`: with source and target (ids of nodes) and status.
    """
    shown = edges.head(MOST_ROWS)
    numbers = {name: column.text for name, column in columns.items() if column.text}
    styled = shown.style.format(numbers).map(_tint, subset=[_STATUS])  # type: ignore[arg-type]  # formatters by column
    picked = st.dataframe(
        styled, key=key, height=height, row_height=27, hide_index=True, on_select="rerun",
        selection_mode="single-row", column_order=list(dict.fromkeys([*columns, _STATUS])),
        column_config=_config(columns),
    )  # fmt: skip
    rows = picked["selection"]["rows"]
    if not rows or rows[0] >= len(shown):
        return None
    row = shown.iloc[rows[0]]
    return str(row["source"]), str(row["target"])


def status_chips(counts: Mapping[Any, int], statuses: Sequence[str]) -> str:
    """Badges with the number of edges by status, in this order. Statuses are ours, never a user's text."""
    return " ".join(
        f":{BADGES[status]}-badge[{count(int(counts[status]))} {status}]" for status in statuses if counts.get(status)
    )


def _config(columns: Mapping[str, EdgeColumn]) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    shown = {
        name: (number if column.text else text)(column.label, width=column.width, help=column.explain)
        for name, column in columns.items()
    }
    return {_STATUS: text(_STATUS, width=90), **shown}


def _tint(status: str) -> str:
    """The status's color behind its text: legible on light and dark pages alike, as no one color of text is."""
    return f"background-color: {STATUS[status]}40"
