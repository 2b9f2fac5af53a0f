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

from engine.domain.feature_names import FeatureNames
from engine.export.map_page import joined
from engine.figures.graph_view import GraphView
from engine.figures.node_tooltip import label_note
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
    return joined([ASSETS / name for name in SCRIPTS])


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
    names: FeatureNames | None = None,
) -> Marks:
    """Draws `view`; returns what the user has marked.

    `marks`: what Python wants marked, as of `marked`.
    `height`: of the drawing, in pixels. `names`: of the features of the transcoders that the graphs were traced with.
    """
    head = {"mode": mode, "height": height, "annotations": _annotated(names, view.nodes)}
    return marked(_component(), view, head, key=key, marks=marks or Marks())


def _annotated(names: FeatureNames | None, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """What a person wrote, and the automatic labels of the features that are drawn: short, and what it means."""
    if names is None:
        return {"labels": {}, "automatic": {}, "supernodes": []}
    automatic = {}
    for layer, index in sorted({(node["layer"], node["index"]) for node in nodes if node["kind"] == "feature"}):
        label = names.label(layer, index)
        if label and label.automatic:
            automatic[f"{layer}/{index}"] = [label.text, label_note(label)]
    groups = [{"name": group.name, "features": list(group.features)} for group in names.annotations.supernodes]
    return {"labels": names.annotations.labels, "automatic": automatic, "supernodes": groups}
