"""The edge table on screen, and the counts above it."""

from collections.abc import Mapping

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


def edge_table_widget(table: pd.DataFrame, *, height: int, key: str) -> None:
    """`engine.figures.tables.edge_table`, with the change as a bar and the status in its colour."""
    shown = table.head(MOST_SHOWN).assign(size=lambda rows: rows["change"].abs())
    styled = shown.style.map(lambda status: f"color: {STATUS[status]}", subset=["status"])
    part = "Its contribution to the output (share × influence of the target), signed as the weight."
    st.dataframe(
        styled,
        key=key,
        height=height,
        row_height=27,
        hide_index=True,
        column_order=["from", "to", "in A", "in B", "size", "status"],
        column_config={
            "from": st.column_config.TextColumn("from", width="medium"),
            "to": st.column_config.TextColumn("to", width="medium"),
            "in A": st.column_config.NumberColumn("in A", format="%+.3f", width=60, help=part),
            "in B": st.column_config.NumberColumn("in B", format="%+.3f", width=60, help=part),
            "size": st.column_config.ProgressColumn(
                "change of its part in the output", format="%.3f", min_value=0.0, color="gray", width=190,
                max_value=max(float(shown["size"].max()) if len(shown) else 0.0, 1e-9),
                help="Of |share| × influence of the target on the output.",
            ),
            "status": st.column_config.TextColumn("status", width=100),
        },
    )  # fmt: skip


def status_chips(counts: Mapping[Status, int]) -> str:
    """Badges with the counts by status. Statuses are ours, never a user's text."""
    return " ".join(
        f":{_BADGE[status]}-badge[{counts[status]:,} {status}]" for status in STATUSES if counts.get(status)
    )
