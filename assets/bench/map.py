"""A page with nothing but a Map of a deep model, for `python -m engine bench`. It is started in the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import streamlit as st

from engine.bench.maps import large_map
from engine.figures.map_view import MapView
from pages._ui.graphs.maps import difference_map
from pages._ui.graphs.marks import Marks


@st.cache_resource
def view() -> MapView:
    """Made before the clock starts."""
    found = large_map()
    assert found.wire
    return found


large = view()
if st.button("map"):
    difference_map(large, key="map", marks=Marks())
