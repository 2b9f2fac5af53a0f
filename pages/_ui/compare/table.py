"""Compare's tables: all edges, and one node's inputs or outputs."""

from functools import partial

import pandas as pd
import streamlit as st

from engine.domain.numbers import count, decimal, signed
from pages._ui.graphs.edge_table import Column, edge_table
from pages._ui.graphs.picking import Edge

_PART = "Its contribution to the output (share × influence of the target), signed as the weight."
_SHARE = "Its share of all that its target receives, signed."
_CHANGE = "Change of its part in the output (|share| × influence of the target), B minus A."
_PARTS, _SHARES = partial(signed, digits=3), partial(signed, digits=2)
_COLUMNS = {
    "from": Column("from", 150),
    "to": Column("to", 150),
    "node": Column("node", 150),
    "in A": Column("in A", 58, _PARTS, _PART),
    "in B": Column("in B", 58, _PARTS, _PART),
    "change": Column("change", 64, _PARTS, _CHANGE),
    "share A": Column("share A", 60, _SHARES, _SHARE),
    "share B": Column("share B", 60, _SHARES, _SHARE),
    "spread_change": Column("± spread", 60, partial(decimal, digits=3), "Of the change, over the prompts."),
    "n": Column("prompts", 55, lambda n: count(int(n)), "In how many prompts this edge exists."),
}


def edge_table_widget(table: pd.DataFrame, *, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.edge_table`; the edge whose row a person picked."""
    more = ("spread_change", "n") if "spread_change" in table else ("share A", "share B")
    return edge_table(table, _columns("from", "to", "in A", "in B", "change", *more), height=height, key=key)


def neighbour_table(table: pd.DataFrame, node: str, *, inputs: bool, height: int, key: str) -> Edge | None:
    """`engine.figures.tables.neighbours`: one list of a node's inputs or outputs; the edge whose row was picked."""
    if table.empty:
        st.caption("None that these settings keep.")
        return None
    ends = {"source": table["id"], "target": node} if inputs else {"source": node, "target": table["id"]}
    columns = _columns("node", "in A", "in B", "share A", "share B")
    return edge_table(table.assign(**ends), columns, height=height, key=key)


def _columns(*names: str) -> dict[str, Column]:
    return {name: _COLUMNS[name] for name in names}
