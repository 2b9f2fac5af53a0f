"""A page with nothing but the Map, for the browser tests and to look at (`streamlit run` this file).

Its address says which: `picture`, `layers`, `tokens`. Words carry markup, which must come through as text.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import streamlit as st

from engine.figures.map_acted import acted_view
from engine.figures.map_view import MapView, carried_view
from pages._ui.graphs.maps import difference_map
from pages._ui.graphs.marks import Marks
from tests.figures.map_makers import acted, pair, tokens

HOSTILE = "<img src=x onerror=window.hacked=1>"


@st.cache_resource
def view(picture: str, n_layers: int, n_tokens: int, n_stretches: int) -> MapView:
    texts = (*tokens(n_tokens)[:-2], f" {HOSTILE}", " very")
    if picture == "carried":
        return carried_view([(None, pair(n_layers, n_tokens, words=texts))], {}, taught="blarf")
    made = acted(n_layers, n_tokens, n_stretches, words=texts)
    steps = [15 * place for place in range(n_stretches + 1)]
    return acted_view(made, steps, taught="blarf")


st.set_page_config(layout="wide", page_title="Map")
asked = st.query_params
numbers = (int(asked.get(name, default)) for name, default in (("layers", 30), ("tokens", 16), ("stretches", 4)))
marks = difference_map(
    view(asked.get("picture", "acted"), *numbers), key="map", marks=Marks.from_text(st.session_state.get("marks", ""))
)
st.session_state["marks"] = marks.to_text()
st.text(f"marks: {marks.to_text()}")
