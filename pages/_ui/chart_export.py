"""Figures as files."""

from collections.abc import Callable, Mapping
from functools import partial

import altair as alt
import streamlit as st

Figures = dict[str, Callable[[], alt.TopLevelMixin]]  # by the name of the file


def take_away(figures: Mapping[str, Callable[[], alt.TopLevelMixin]], *, key: str) -> None:
    """A menu with each figure as PNG and SVG; nothing is made before it is asked for."""
    with st.popover("Export", icon=":material/download:", type="tertiary", help="The figures as pictures", key=key):
        for name, make in figures.items():
            title = name.replace("-", " ").capitalize()
            st.download_button(
                f"{title} (PNG)", partial(_png, make), file_name=f"{name}.png", mime="image/png",
                on_click="ignore", width="stretch",
            )  # fmt: skip
            st.download_button(
                f"{title} (SVG)", partial(_svg, make), file_name=f"{name}.svg", mime="image/svg+xml",
                on_click="ignore", width="stretch",
            )  # fmt: skip


def _png(make: Callable[[], alt.TopLevelMixin]) -> bytes:
    from engine.export import chart_png

    return chart_png(make())


def _svg(make: Callable[[], alt.TopLevelMixin]) -> str:
    from engine.export import chart_svg

    return chart_svg(make())
