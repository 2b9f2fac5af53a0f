"""The linked graphs as a Streamlit component: two canvases of our own, in one layout, moved and marked together.

Own canvas code instead of vis-network: a tenth of the size, ghosts and curved edges as wanted, the same speed with
40,000 edges, and nothing in it that reads text as HTML. Its files in assets/graph are plain functions, put together
here into the one module that the component takes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from engine.domain.feature_names import FeatureNames
from engine.figures.graph_view import GraphView
from engine.figures.node_tooltip import label_note
from engine.figures.timelapse_view import TimelapseView
from pages._ui.graphs.marks import Marks

__all__ = ["HEIGHT", "Marks", "insist", "linked_graphs"]

ASSETS = Path(__file__).parents[3] / "assets" / "graph"
SCRIPTS = (
    "numbers.js", "scene.js", "search.js", "edges.js", "nodes.js", "labels.js", "draw.js", "panel.js", "toolbar.js",
    "timelapse.js", "timeline.js", "marks.js", "events.js", "linked.js",
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


@dataclass
class _Memory:
    """What was said between a page and its component, so that the echo of a click is not taken for an order."""

    passed: Marks | None = None  # by the page, last time
    returned: Marks | None = None  # to the page, last time
    orders: int = 0
    said: dict[str, int] = field(default_factory=dict)  # field of Marks -> the last order that set it
    insisted: set[str] = field(default_factory=set)  # fields that count next time although they were passed before


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

    `marks`: what Python wants marked. A field counts only when it says something new: neither what was passed the
    last time nor what came back then, so that a page can pass on what it got (through the address, say).
    `height`: of the drawing, in pixels. `names`: of the features of the transcoders that the graphs were traced with.
    """
    passed = marks or Marks()
    memory: _Memory = st.session_state.setdefault(f"{key} marks", _Memory())
    _listen(memory, passed)
    head = {
        "mode": mode,
        "height": height,
        "marks": passed.state(),
        "said": memory.said,
        "annotations": _annotated(names, view.nodes),
        "version": view.version,
    }
    # Bytes, because Streamlit would write a dict as JSON twice at every run, and the view's is made once.
    data = json.dumps(head).encode() + b"\n" + view.wire
    result = _component()(data=data, key=key, default={"marks": None}, on_marks_change=lambda: None)
    reported = getattr(result, "marks", None)
    memory.returned = _in_force(memory, passed, reported)
    return memory.returned


def insist(key: str, *names: str) -> None:
    """The named fields of the next `marks` count although the same was said before, as when a table's row is clicked
    again after the user has marked something else."""
    memory: _Memory = st.session_state.setdefault(f"{key} marks", _Memory())
    memory.insisted |= set(names)


def _listen(memory: _Memory, passed: Marks) -> None:
    """Notes which fields of `passed` are orders."""
    names = [each.name for each in fields(Marks)]
    before = memory.passed
    if before is not None:
        other = [name for name in names if getattr(passed, name) != getattr(memory.returned, name)]
        new = [name for name in other if name in memory.insisted or getattr(passed, name) != getattr(before, name)]
        if new:
            memory.orders += 1
            memory.said |= dict.fromkeys(new, memory.orders)
    memory.passed, memory.insisted = passed, set()


def _in_force(memory: _Memory, passed: Marks, reported: Any) -> Marks:
    """What the component reports, with the orders that it has not heard yet."""
    if not isinstance(reported, dict):
        return passed
    heard = reported.get("heard")
    known = heard if isinstance(heard, int) else 0
    unheard = {name: getattr(passed, name) for name, order in memory.said.items() if order > known}
    return replace(Marks.from_state(reported), **_alone(unheard))


def _alone(orders: dict[str, Any]) -> dict[str, Any]:
    """An edge that is selected clears the node, and the other way round."""
    if orders.get("edge"):
        return {"selected": None, **orders}
    if orders.get("selected"):
        return {"edge": None, **orders}
    return orders


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
