"""The edge table on screen, and the counts above it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from engine.domain.diffs import STATUSES, Status
from engine.domain.numbers import decimal, signed
from engine.figures.palette import STATUS
from engine.figures.tables import CHANGE

# As the graphs colour it: orange gained, blue lost.
_BADGE = {
    "appeared": "orange", "strengthened": "orange", "vanished": "blue", "weakened": "blue", "flipped": "violet",
    "unchanged": "gray",
}  # fmt: skip
MOST_SHOWN = 250  # rows sent to the browser, by change; the download has all
Edge = tuple[str, str]  # ids of source and target
_CONTRIBUTION = "Contribution to the output: share × influence of the target, signed as the weight."
_SHARE = "Share of all that the target reads, signed as the weight."
_DIGITS = 3  # of contributions
_VALUES = ["in A", "in B", CHANGE]


def edge_table_widget(table: pd.DataFrame, *, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.edge_table`, the status in its colour; the edge whose row a person picked."""
    more = ["spread_change", "n"] if "spread_change" in table else ["share A", "share B"]
    shown = as_shown(table.head(MOST_SHOWN)).sort_values(CHANGE, key=lambda change: -change.abs(), kind="stable")
    return _rows(shown, ["from", "to", *_VALUES, *more, "status"], height, key)


def neighbour_table(table: pd.DataFrame, node: str, *, inputs: bool, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.neighbours`: one list of a node's inputs or outputs; the edge whose row was picked."""
    if table.empty:
        st.caption("None are kept at these settings.")
        return None
    ends = {"source": table["id"], "target": node} if inputs else {"source": node, "target": table["id"]}
    shown = as_shown(table.head(MOST_SHOWN).assign(**ends))
    return _rows(shown, ["node", *_VALUES, "status", "share A", "share B"], height, key)  # what is cut comes last


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Contributions rounded as they are written, and the change as the difference of what is written."""
    rounded = {name: table[name].round(_DIGITS) + 0.0 for name in ("in A", "in B")}
    return table.assign(**rounded, **{CHANGE: (rounded["in B"] - rounded["in A"]).round(_DIGITS) + 0.0})


def _rows(shown: pd.DataFrame, columns: list[str], height: int, key: str) -> Edge | None:
    styled = shown.style.map(lambda status: f"color: {STATUS[status]}", subset=["status"]).format(_written(shown))
    picked = st.dataframe(
        styled,
        key=key,
        height=height,
        row_height=27,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_order=columns,
        column_config=_columns(),
    )
    rows = picked["selection"]["rows"]
    if not rows or rows[0] >= len(shown):
        return None
    row = shown.iloc[rows[0]]
    return str(row["source"]), str(row["target"])


def _written(shown: pd.DataFrame) -> dict[str, Any]:
    """How each column's numbers are written; they are still sorted as numbers."""
    formats = {name: partial(signed, digits=_DIGITS) for name in _VALUES}
    formats |= dict.fromkeys(("share A", "share B"), signed)
    formats |= {"spread_change": partial(decimal, digits=_DIGITS)}
    return {name: written for name, written in formats.items() if name in shown}


def _columns() -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "from": text("from", width=138),
        "to": text("to", width=138),
        "node": text("node", width=150),
        "in A": number("in A", width=62, help=_CONTRIBUTION),
        "in B": number("in B", width=62, help=_CONTRIBUTION),
        CHANGE: number(CHANGE, width=142, help=f"In B minus in A. {_CONTRIBUTION}"),
        "share A": number("share A", width=58, help=_SHARE),
        "share B": number("share B", width=58, help=_SHARE),
        "spread_change": number("± spread", width=66, help="Standard deviation of the change over the prompts."),
        "n": number("prompts", format="%d", width=62, help="In how many prompts this edge is kept."),
        "status": text("status", width=100),
    }


def status_chips(counts: Mapping[Status, int]) -> str:
    """Badges with the counts by status. Statuses are ours, never a user's text."""
    return " ".join(
        f":{_BADGE[status]}-badge[{counts[status]:,} {status}]" for status in STATUSES if counts.get(status)
    )
