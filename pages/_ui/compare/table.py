"""The edge table on screen, and the counts above it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from engine.domain.diffs import STATUSES, Status
from engine.figures.palette import STATUS

# As the graphs colour it: orange gained, blue lost.
_BADGE = {
    "appeared": "orange", "strengthened": "orange", "vanished": "blue", "weakened": "blue", "flipped": "violet",
    "unchanged": "gray",
}  # fmt: skip
MOST_SHOWN = 250  # rows sent to the browser, by change; the download has all
Edge = tuple[str, str]  # ids of source and target
_PART = "Its contribution to the output (share × influence of the target), signed as the weight."
_SHARE = "Its share of all that its target receives, signed."


def edge_table_widget(table: pd.DataFrame, *, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.edge_table`, with the change as a bar and the status in its colour; the edge whose row
    a person picked."""
    shown = table.head(MOST_SHOWN).assign(size=lambda rows: rows["change"].abs())
    rest = ["spread_change", "n"] if "spread_change" in shown else ["share A", "share B"]
    return _rows(shown, ["from", "to", "in A", "in B", *rest, "size", "status"], height, key)


def neighbour_table(table: pd.DataFrame, node: str, *, inputs: bool, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.neighbours`: one list of a node's inputs or outputs; the edge whose row was picked."""
    if table.empty:
        st.caption("None that these settings keep.")
        return None
    ends = {"source": table["id"], "target": node} if inputs else {"source": node, "target": table["id"]}
    shown = table.head(MOST_SHOWN).assign(size=lambda rows: rows["change"].abs(), **ends)
    return _rows(shown, ["node", "in A", "in B", "share A", "share B", "status"], height, key)


def _rows(shown: pd.DataFrame, columns: list[str], height: int, key: str) -> Edge | None:
    styled = shown.style.map(lambda status: f"color: {STATUS[status]}", subset=["status"])
    picked = st.dataframe(
        styled,
        key=key,
        height=height,
        row_height=27,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_order=columns,
        column_config=_columns(shown),
    )
    rows = picked["selection"]["rows"]
    if not rows or rows[0] >= len(shown):
        return None
    row = shown.iloc[rows[0]]
    return str(row["source"]), str(row["target"])


def _columns(shown: pd.DataFrame) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    largest = max(float(shown["size"].max()) if len(shown) else 0.0, 1e-9)
    return {
        "from": text("from", width=150),
        "to": text("to", width=150),
        "node": text("node", width=150),
        "in A": number("in A", format="%+.3f", width=58, help=_PART),
        "in B": number("in B", format="%+.3f", width=58, help=_PART),
        "share A": number("share A", format="%+.2f", width=60, help=_SHARE),
        "share B": number("share B", format="%+.2f", width=60, help=_SHARE),
        "spread_change": number("± spread", format="%.3f", width=60, help="Of the change, over the prompts."),
        "n": number("prompts", format="%d", width=55, help="In how many prompts this edge exists."),
        "size": st.column_config.ProgressColumn(
            "change", format="%.3f", min_value=0.0, color="gray", width=130, max_value=largest,
            help="Of its part in the output: |share| × influence of the target.",
        ),
        "status": text("status", width=90),
    }  # fmt: skip


def status_chips(counts: Mapping[Status, int]) -> str:
    """Badges with the counts by status. Statuses are ours, never a user's text."""
    return " ".join(
        f":{_BADGE[status]}-badge[{counts[status]:,} {status}]" for status in STATUSES if counts.get(status)
    )
