"""The edges of two circuits as a table, and what an edge or a component of them is made of."""

from functools import partial

import pandas as pd
import streamlit as st

from engine.domain.components import QKV
from engine.domain.edge_measures import EdgeMeasure
from engine.domain.numbers import signed
from engine.figures.component_view import effect_text
from engine.figures.component_words import STATUS_TEXTS
from pages._ui.graphs.edge_table import BADGES, MOST_ROWS, EdgeColumn, edge_table
from pages._ui.graphs.picking import Edge
from pages._ui.text import plain

_VIA = "Which inputs of the head the edge reaches: q (query), k (key), v (value)."
_QKV_WORDS = {
    "q": "query (q): what the head looks for",
    "k": "key (k): what it is matched with",
    "v": "value (v): what it passes on",
}
_DIGITS = 3
_EFFECTS = partial(signed, digits=_DIGITS)


def edge_rows(edges: pd.DataFrame, measure: EdgeMeasure, *, height: int, key: str) -> Edge | None:
    """`edge_changes`, with effects by this measure; the edge whose row a person picked."""
    pairs = zip(edges["via_a"], edges["via_b"], strict=True)
    rounded = {name: edges[name].round(_DIGITS) for name in ("effect_a", "effect_b")}
    change = (rounded["effect_b"] - rounded["effect_a"]).round(_DIGITS)  # of the effects as they are written
    shown = edges.assign(**rounded, change=change, via=[a if a == b else f"{a or '–'} → {b or '–'}" for a, b in pairs])
    return edge_table(shown, _columns(measure), height=height, key=key)


def _columns(measure: EdgeMeasure) -> dict[str, EdgeColumn]:
    return {
        "from": EdgeColumn("from", 120),
        "to": EdgeColumn("to", 120),
        "via": EdgeColumn("through", 90, explain=_VIA),
        "effect_a": EdgeColumn("effect A", 80, _EFFECTS, measure.effect),
        "effect_b": EdgeColumn("effect B", 80, _EFFECTS, measure.effect),
        "change": EdgeColumn("change of effect", 110, _EFFECTS, "Effect in B minus effect in A."),
    }


def one_circuit(edges: pd.DataFrame, measure: EdgeMeasure, *, height: int) -> None:
    """The edges of one circuit, which is both sides of `edges`: the largest effects first."""
    order = (-edges["effect_b"].abs()).argsort(kind="stable")
    shown = edges.iloc[order].head(MOST_ROWS)[["from", "to", "via_b", "effect_b"]]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    st.dataframe(
        shown.style.format({"effect_b": _EFFECTS}), hide_index=True, height=height, row_height=27,
        column_config={
            "via_b": text("through", help=_VIA), "effect_b": number("effect", help=measure.effect),
        },
    )  # fmt: skip


def edge_parts(edges: pd.DataFrame, edge: Edge) -> None:
    """One edge on both sides, with q, k and v of a head apart."""
    found = edges[(edges["source"] == edge[0]) & (edges["target"] == edge[1])]
    if found.empty:
        st.caption("The selected edge is in neither circuit. Press Esc to clear the selection.")
        return
    row = found.iloc[0]
    lines = {"all three" if row.notna()["q_a"] else "effect": ("effect_a", "effect_b")}
    if row.notna()["q_a"]:
        lines |= {_QKV_WORDS[which]: (f"{which}_a", f"{which}_b") for which in QKV}
    st.markdown(f":{BADGES[row['status']]}-badge[{row['status']}] {STATUS_TEXTS[row['status']]}. Effect:")
    st.dataframe(
        {"": list(lines), "A": [effect_text(row[a]) for a, _ in lines.values()],
         "B": [effect_text(row[b]) for _, b in lines.values()],
         "change": [effect_text(row[b] - row[a]) for a, b in lines.values()]},
        hide_index=True, height="content", row_height=27,
    )  # fmt: skip
    if row.notna()["q_a"]:
        st.caption(f"In A’s circuit: {row['via_a'] or 'none'}. In B’s: {row['via_b'] or 'none'}.")


def node_title(nodes: pd.DataFrame, node: str) -> str:
    """A component's name and what became of it, in Markdown."""
    found = nodes[nodes["id"] == node]
    if found.empty:
        return f"**{plain(node)}**"
    row = found.iloc[0]
    sides = [name for name, inside in (("A", row["in_a"]), ("B", row["in_b"])) if inside]
    where = f"in the circuit of {' and '.join(sides)}" if sides else "in neither circuit"
    known_as = f" :gray[{plain(row['id'])}]" if row["kind"] in ("head", "mlp") else ""
    return f"**{plain(row['name'])}**{known_as} · {where}"


def edge_title(nodes: pd.DataFrame, edge: Edge) -> str:
    """Its ends, in Markdown."""
    names = dict(zip(nodes["id"], nodes["name"], strict=True))
    return f"**{plain(names.get(edge[0], edge[0]))} → {plain(names.get(edge[1], edge[1]))}**"
