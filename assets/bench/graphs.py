"""A page with nothing but the linked graphs, for `python -m engine bench`: a button for each view that lies beside it.

The bench copies it into the folder with the views and starts it in the repository.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import streamlit as st

from engine.figures.graph_view import GraphView
from engine.figures.timelapse_view import TimelapseView
from pages._ui.graphs.linked_graphs import linked_graphs


@st.cache_resource
def views() -> dict[str, GraphView | TimelapseView]:
    """By name; made before the clock starts."""
    found: dict[str, GraphView | TimelapseView] = {}
    for file in Path(__file__).parent.glob("*.json"):
        made = json.loads(file.read_text(encoding="utf-8"))
        found[file.stem] = TimelapseView(**made) if "moments" in made else GraphView(**made)
        assert found[file.stem].wire
    return found


chosen = None
for name in sorted(views()):
    if st.button(name):
        chosen = name
if chosen in views():
    linked_graphs(views()[chosen], key=chosen)
