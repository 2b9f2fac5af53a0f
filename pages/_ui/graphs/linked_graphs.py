"""The linked graphs as a Streamlit component: two canvases of our own, in one layout, moved and marked together.

Own canvas code instead of vis-network: a tenth of the size, ghosts and curved edges as wanted, the same speed with
40,000 edges, and nothing in it that reads text as HTML. Its files in assets/graph are plain functions, put together
here into the one module that the component takes.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from engine.domain.annotations import Annotations
from engine.figures.graph_view import GraphView
from engine.figures.timelapse_view import TimelapseView
from pages._ui.graphs.marked import insist, marked
from pages._ui.graphs.marks import Marks

__all__ = ["HEIGHT", "Marks", "insist", "linked_graphs"]

ASSETS = Path(__file__).parents[3] / "assets" / "graph"
SCRIPTS = (
    "numbers.js", "dom.js", "orders.js", "scene.js", "search.js", "edges.js", "nodes.js", "labels.js", "draw.js",
    "panel.js", "toolbar.js", "timelapse.js", "timeline.js", "marks.js", "events.js", "linked.js",
)  # fmt: skip
HEIGHT = 300  # of the drawing itself; what is around it takes about 120 pixels more, a time-lapse about 100 more


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
    view: GraphView | TimelapseView,
    *,
    key: str,
    mode: Literal["pair", "overlay"] = "pair",
    marks: Marks | None = None,
    height: int = HEIGHT,
    annotations: Annotations | None = None,
) -> Marks:
    """Draws `view`; returns what the user has marked.

    `marks`: what Python wants marked, as of `marked`.
    `height`: of the drawing, in pixels. `annotations`: of the transcoders that the graphs were traced with.
    """
    head = {"mode": mode, "height": height, "annotations": _annotated(annotations)}
    return marked(_component(), view, head, key=key, marks=marks or Marks())


def _annotated(annotations: Annotations | None) -> dict[str, Any]:
    if annotations is None:
        return {"labels": {}, "supernodes": []}
    groups = [{"name": group.name, "features": list(group.features)} for group in annotations.supernodes]
    return {"labels": annotations.labels, "supernodes": groups}
