"""The edges of two circuits as a table, and what an edge or a component of them is made of."""

from functools import partial

import pandas as pd
import streamlit as st

from engine.domain.components import QKV
from engine.domain.numbers import signed
from engine.figures.component_view import STATUSES, effect_text
from pages._ui.graphs.edge_table import BADGES, Column, edge_table, status_chips
from pages._ui.graphs.picking import Edge
from pages._ui.text import plain

_EFFECT = (
    "What the right answer’s lead would lose, about, if this edge carried what the corrupted prompt puts there. Below "
    "0 the answer would do better without it."
)
_VIA = "Which inputs of the head the edge reaches: q asks, k is asked, v is what is handed on."
_QKV_WORDS = {"q": "q, what the head looks for", "k": "k, what it is matched with", "v": "v, what it hands on"}
_EFFECTS = partial(signed, digits=3)
_COLUMNS = {
    "from": Column("from", 120),
    "to": Column("to", 120),
    "via": Column("through", 90, explain=_VIA),
    "effect_a": Column("effect A", 70, _EFFECTS, _EFFECT),
    "effect_b": Column("effect B", 70, _EFFECTS, _EFFECT),
}
_CHANGE = "How far the effect moved from A to B."


def chips(edges: pd.DataFrame) -> str:
    """Badges with the number of edges by status."""
    return status_chips(edges["status"].value_counts().to_dict(), STATUSES)


def edge_rows(edges: pd.DataFrame, *, height: int, key: str) -> Edge | None:
    """`component_edges`; the edge whose row a person picked."""
    pairs = zip(edges["via_a"], edges["via_b"], strict=True)
    shown = edges.assign(via=[a if a == b else f"{a or '–'} → {b or '–'}" for a, b in pairs])
    return edge_table(shown, _COLUMNS, height=height, key=key, explain_change=_CHANGE)


def edge_parts(edges: pd.DataFrame, edge: Edge) -> None:
    """One edge on both sides, with q, k and v of a head apart."""
    found = edges[(edges["source"] == edge[0]) & (edges["target"] == edge[1])]
    if found.empty:
        st.caption("The selected edge is in neither of these circuits. Esc lets it go.")
        return
    row = found.iloc[0]
    lines = {"all together" if row.notna()["q_a"] else "effect": ("effect_a", "effect_b")}
    if row.notna()["q_a"]:
        lines |= {_QKV_WORDS[which]: (f"{which}_a", f"{which}_b") for which in QKV}
    st.markdown(f":{BADGES[row['status']]}-badge[{row['status']}]")
    st.dataframe(
        {"": list(lines), "A": [effect_text(row[a]) for a, _ in lines.values()],
         "B": [effect_text(row[b]) for _, b in lines.values()]},
        hide_index=True, height="content", row_height=27,
    )  # fmt: skip
    if row.notna()["q_a"]:
        st.caption(f"In the circuit: A {row['via_a'] or 'none'} · B {row['via_b'] or 'none'}")


def node_title(nodes: pd.DataFrame, node: str) -> str:
    """A component's name and what became of it, in Markdown."""
    found = nodes[nodes["id"] == node]
    if found.empty:
        return f"**{plain(node)}**"
    row = found.iloc[0]
    sides = [name for name, inside in (("A", row["in_a"]), ("B", row["in_b"])) if inside]
    told = f"in the circuit of {' and '.join(sides)}" if sides else "in neither circuit"
    alias = "" if row["alias"] == row["name"] else f" :gray[{plain(row['alias'])}]"
    return f"**{plain(row['name'])}**{alias} · {told}"


def edge_title(nodes: pd.DataFrame, edge: Edge) -> str:
    """Its ends, in Markdown."""
    names = dict(zip(nodes["id"], nodes["name"], strict=True))
    return f"**{plain(names.get(edge[0], edge[0]))} → {plain(names.get(edge[1], edge[1]))}**"
