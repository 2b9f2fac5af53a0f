"""Compare's tables: all edges, and one node's inputs or outputs."""

from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from engine.domain.numbers import count, decimal, signed
from engine.figures.tables import CHANGE_TITLE
from pages._ui.graphs.edge_table import MOST_ROWS, EdgeColumn, edge_table
from pages._ui.graphs.picking import Edge

_FLOW = "Flow: what of the explained logit runs along this edge, in logits."
_SHARE = "Share of all that the target reads, signed as the weight."
_CHANGE = "What the change of this edge’s own weight does to the explained logit, in logits."
_SPREAD = "Standard deviation of the change over the prompts."
_DIGITS = 3  # of flows
_flow = partial(signed, digits=_DIGITS)
_COLUMNS = {
    "from": EdgeColumn("from", 138),
    "to": EdgeColumn("to", 138),
    "node": EdgeColumn("node", 150),
    "in A": EdgeColumn("in A", 66, _flow, _FLOW),
    "in B": EdgeColumn("in B", 66, _flow, _FLOW),
    CHANGE_TITLE: EdgeColumn(CHANGE_TITLE, 118, _flow, _CHANGE),
    "status": EdgeColumn("status", 100),
    "share A": EdgeColumn("share A", 58, signed, _SHARE),
    "share B": EdgeColumn("share B", 58, signed, _SHARE),
    "spread_change": EdgeColumn("± spread", 66, partial(decimal, digits=_DIGITS), _SPREAD),
    "n": EdgeColumn("prompts", 62, lambda n: count(int(n)), "In how many prompts this edge is kept."),
}


def edge_table_widget(table: pd.DataFrame, effect: str, *, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.edge_table`; the edge whose row a person picked. `effect`: how it is known what a change
    does (`ExplainedChange.effect`)."""
    more = ("spread_change", "n") if "spread_change" in table else ("share A", "share B")
    shown = as_shown(table.head(MOST_ROWS)).sort_values(CHANGE_TITLE, key=lambda change: -change.abs(), kind="stable")
    return edge_table(
        shown, _columns(effect, "from", "to", "in A", "in B", CHANGE_TITLE, "status", *more), height=height, key=key
    )


def neighbour_table(table: pd.DataFrame, node: str, effect: str, *, inputs: bool, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.neighbours`: one list of a node's inputs or outputs; the edge whose row was picked."""
    if table.empty:
        st.caption("None are kept at these settings.")
        return None
    ends = {"source": table["id"], "target": node} if inputs else {"source": node, "target": table["id"]}
    shown = as_shown(table.head(MOST_ROWS).assign(**ends))
    columns = _columns(
        effect, "node", "in A", "in B", CHANGE_TITLE, "status", "share A", "share B"
    )  # what is cut comes last
    return edge_table(shown, columns, height=height, key=key)


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Logits rounded as they are written, so that what reads alike sorts alike."""
    return table.assign(**{name: table[name].round(_DIGITS) + 0.0 for name in ("in A", "in B", CHANGE_TITLE)})


def _columns(effect: str, *names: str) -> dict[str, EdgeColumn]:
    change = replace(_COLUMNS[CHANGE_TITLE], explain=f"{_CHANGE} {effect}")
    return {name: _COLUMNS[name] for name in names} | ({CHANGE_TITLE: change} if CHANGE_TITLE in names else {})
