"""The Map as a Streamlit component: SVG of our own, which speaks with its page as the linked graphs do."""

from collections.abc import Callable
from functools import cache

import streamlit as st

from engine.export.map_page import SCRIPTS, STYLES, joined
from engine.figures.map_view import MapView
from pages._ui.graphs.marked import marked
from pages._ui.graphs.marks import Marks

_LAYER_PX, _AROUND_PX = 13, 84  # of a row; names, totals
_GROW_PX = 14  # of a row, at most, in a window higher than a small laptop's
_FRAME_PX, _STEPS_PX = 68, 34  # title and legend; the slider
_ARCS_PX, _LEAST_PX, _MOST_PX = 50, 236, 430


@cache
def script() -> str:
    """The component's module."""
    return joined(SCRIPTS)


@cache
def styles() -> str:
    return joined(STYLES)


@cache
def _component() -> Callable[..., object]:
    return st.components.v2.component("tracelapse_map", html='<div class="tl tm"></div>', css=styles(), js=script())


def map_height(view: MapView) -> int:
    """Pixels of its drawing in a small window, where the legend is in sight; in a higher one it is higher."""
    arcs = _ARCS_PX if view.picture == "carried" else 0
    most = _MOST_PX - _steps_height(view)
    return max(_LEAST_PX, min(most, _LAYER_PX * len(view.rows) + _AROUND_PX + arcs))


def _steps_height(view: MapView) -> int:
    return _STEPS_PX if len(view.frames) > 1 else 0


def difference_map(view: MapView, *, key: str, marks: Marks) -> Marks:
    """Draws `view`; returns what the user has marked. `marks`: as of `marked`."""
    height, grow = map_height(view), _GROW_PX * len(view.rows)
    # The room that it will take, so that nothing below it moves when it comes; as in map.css.
    room = height + _FRAME_PX + _steps_height(view)
    st.html(f"<style>.st-key-map-room {{ min-height: calc({room}px + clamp(0px, 100vh - 720px, {grow}px)) }}</style>")
    with st.container(key="map room"):
        return marked(_component(), view, {"height": height, "grow": grow}, key=key, marks=marks)
