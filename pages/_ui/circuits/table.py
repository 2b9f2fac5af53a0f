"""The edges of two circuits as a table, and what an edge or a component of them is made of."""

from typing import Any

import pandas as pd
import streamlit as st

from engine.domain.components import QKV
from engine.figures.component_view import STATUSES, signed
from engine.figures.palette import STATUS
from pages._ui.compare.table import MOST_SHOWN, Edge
from pages._ui.text import plain

_BADGE = {"appeared": "orange", "vanished": "blue", "flipped": "violet", "unchanged": "gray"}
_NAMES = {"appeared": "appeared", "vanished": "vanished", "flipped": "sign turned", "unchanged": "in both"}
_EFFECT = (
    "What the right answer’s lead would lose, about, if this edge carried what the corrupted prompt puts there. Below "
    "0 the answer would do better without it."
)
_VIA = "Which inputs of the head the edge reaches: q asks, k is asked, v is what is handed on."
_QKV_WORDS = {"q": "q, what the head looks for", "k": "k, what it is matched with", "v": "v, what it hands on"}


def chips(edges: pd.DataFrame) -> str:
    """Badges with the number of edges by status."""
    counts = edges["status"].value_counts()
    return " ".join(
        f":{_BADGE[status]}-badge[{int(counts[status]):,} {_NAMES[status]}]" for status in STATUSES if status in counts
    )


def edge_rows(edges: pd.DataFrame, *, height: int, key: str) -> Edge | None:
    """`component_edges` with the change as a bar and the status in its colour; the edge whose row a person picked."""
    shown = edges.head(MOST_SHOWN)
    shown = shown.assign(
        size=shown["change"].abs(),
        via=[a if a == b else f"{a or '–'} → {b or '–'}" for a, b in zip(shown["via_a"], shown["via_b"], strict=True)],
        said=shown["status"].map(_NAMES),
    )
    styled = shown.style.apply(_colours, subset=["said"])
    picked = st.dataframe(
        styled, key=key, height=height, row_height=27, hide_index=True, on_select="rerun",
        selection_mode="single-row", column_config=_columns(shown),
        column_order=["from", "to", "via", "effect_a", "effect_b", "size", "said"],
    )  # fmt: skip
    rows = picked["selection"]["rows"]
    if not rows or rows[0] >= len(shown):
        return None
    row = shown.iloc[rows[0]]
    return str(row["source"]), str(row["target"])


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
    st.markdown(f":{_BADGE[row['status']]}-badge[{_NAMES[row['status']]}]")
    st.dataframe(
        {"": list(lines), "A": [signed(row[a]) for a, _ in lines.values()],
         "B": [signed(row[b]) for _, b in lines.values()]},
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


def _colours(said: pd.Series) -> list[str]:
    colour = {_NAMES[status]: STATUS[status] for status in STATUSES}
    return [f"color: {colour[one]}" for one in said]


def _columns(shown: pd.DataFrame) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    largest = max(float(shown["size"].max()) if len(shown) else 0.0, 1e-9)
    return {
        "from": text("from", width=120),
        "to": text("to", width=120),
        "via": text("through", width=90, help=_VIA),
        "effect_a": number("effect A", format="%+.3f", width=70, help=_EFFECT),
        "effect_b": number("effect B", format="%+.3f", width=70, help=_EFFECT),
        "size": st.column_config.ProgressColumn(
            "change", format="%.3f", min_value=0.0, max_value=largest, color="gray", width=130,
            help="How far the effect moved from A to B.",
        ),
        "said": text("status", width=90),
    }  # fmt: skip
