"""Figures as files."""

from collections.abc import Mapping
from functools import partial

import altair as alt
import streamlit as st


def take_away(figures: Mapping[str, alt.TopLevelMixin], *, key: str) -> None:
    """A menu with each figure as PNG and SVG; nothing is made before it is asked for."""
    from engine.export import chart_png, chart_svg

    with st.popover("Export", icon=":material/download:", type="tertiary", help="The figures as pictures", key=key):
        for name, chart in figures.items():
            title = name.replace("-", " ").capitalize()
            st.download_button(
                f"{title} (PNG)", partial(chart_png, chart), file_name=f"{name}.png", mime="image/png",
                on_click="ignore", width="stretch",
            )  # fmt: skip
            st.download_button(
                f"{title} (SVG)", partial(chart_svg, chart), file_name=f"{name}.svg", mime="image/svg+xml",
                on_click="ignore", width="stretch",
            )  # fmt: skip
