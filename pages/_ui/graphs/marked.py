"""What a page and a component of ours say to each other: what is to be marked, and what a person has marked."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import streamlit as st

from engine.figures.graph_view import Sent
from pages._ui.graphs.marks import Marks


@dataclass
class _Memory:
    """What was said between a page and its component, so that the echo of a click is not taken for an order."""

    passed: Marks | None = None  # by the page, last time
    returned: Marks | None = None  # to the page, last time
    orders: int = 0
    said: dict[str, int] = field(default_factory=dict)  # field of Marks -> the last order that set it
    insisted: set[str] = field(default_factory=set)  # fields that count next time although they were passed before


def marked(component: Callable[..., object], view: Sent, head: dict[str, Any], *, key: str, marks: Marks) -> Marks:
    """Draws `view` by a component that speaks as assets/graph/orders.js does; returns what the user has marked.

    `head`: what else the component is told, besides the marks. `marks`: what Python wants marked. A field counts only
    when it says something new: neither what was passed the last time nor what came back then, so that a page can pass
    on what it got (through the address, say).
    """
    memory: _Memory = st.session_state.setdefault(f"{key} marks", _Memory())
    _listen(memory, marks)
    told = head | {"marks": marks.state(), "said": memory.said, "version": view.version}
    # Bytes, because Streamlit would write a dict as JSON twice at every run, and the view's is made once.
    data = json.dumps(told).encode() + b"\n" + view.wire
    result = component(data=data, key=key, default={"marks": None}, on_marks_change=lambda: None)
    memory.returned = _in_force(memory, marks, getattr(result, "marks", None))
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
