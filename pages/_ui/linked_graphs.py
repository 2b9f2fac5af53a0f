"""The linked graphs as a Streamlit component: two canvases of our own, in one layout, moved and marked together.

Own canvas code instead of vis-network: a tenth of the size, ghosts and curved edges as wanted, the same speed with
40,000 edges, and nothing in it that reads text as HTML. Its files in assets/graph are plain functions, put together
here into the one module that the component takes.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import streamlit as st

from engine.figures.graph_view import GraphView

ASSETS = Path(__file__).parents[2] / "assets" / "graph"
SCRIPTS = ("scene.js", "draw.js", "panel.js", "events.js", "linked.js")
HEIGHT = 300  # of the drawing itself; title and legend take about 70 pixels more


@cache
def script() -> str:
    """The component's module."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)


@cache
def styles() -> str:
    return (ASSETS / "linked.css").read_text(encoding="utf-8")


@cache
def _component() -> Callable[..., object]:
    return st.components.v2.component(
        "tracelapse_linked_graphs", html='<div class="tl"></div>', css=styles(), js=script()
    )


def linked_graphs(
    view: GraphView,
    *,
    key: str,
    mode: Literal["pair", "overlay"] = "pair",
    selected: str | None = None,
    height: int = HEIGHT,
) -> str | None:
    """Draws `view`; returns the id of the selected node.

    `selected`: a node to select from Python (from the URL, say); the user's later clicks win until it changes.
    `height`: of the drawing, in pixels.
    """
    data = {"view": view.payload(), "mode": mode, "selected": selected, "height": height}
    result = _component()(data=data, key=key, default={"selected": selected}, on_selected_change=lambda: None)
    node = getattr(result, "selected", None)
    return node if isinstance(node, str) else None
