"""A table of two edges, and the button that clears what is picked."""

import streamlit as st

from pages._ui.graphs.picking import Picking

EDGES = {"1": ("token/-1/0/1", "feature/0/1/2"), "2": ("feature/0/1/2", "logit/1/2/3")}
PICKING = Picking("compare", key="graphs")


def draw(key: str) -> tuple[str, str] | None:
    return EDGES.get(st.text_input("row", key=key))


if __name__ == "__main__":
    PICKING.pick_row("edges", draw)
    st.button("All edges", on_click=PICKING.clear)
    st.text(str(PICKING.marks().edge))
