"""Charts beside each other, one a constraint type: as many in a row as there is room for, each as wide as its column."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import streamlit as st


def panel_columns(names: Sequence[str], *, most: int = 3) -> Iterator[tuple[str, Any]]:
    """Each name with the column that its panel is drawn in: rows of equal length, of at most `most`."""
    n_rows = max(1, -(-len(names) // most))
    per_row = max(1, -(-len(names) // n_rows))
    for start in range(0, len(names), per_row):
        row = names[start : start + per_row]
        yield from zip(row, st.columns(per_row, gap="small"), strict=False)


def draw_panels(
    panels: Mapping[str, alt.LayerChart | alt.Chart], *, key: str, height: int, alt_text: Callable[[str], str],
    selection: str = "",
) -> list[Mapping[str, object]]:  # fmt: skip
    """Gives the points of the `selection` that was clicked in any of them."""
    points: list[Mapping[str, object]] = []
    for name, column in panel_columns(list(panels)):
        with column:
            if not selection:
                st.altair_chart(panels[name], key=f"{key} {name}", height=height, alt=alt_text(name))
                continue
            picked = st.altair_chart(
                panels[name], key=f"{key} {name}", height=height, alt=alt_text(name), on_select="rerun",
                selection_mode=selection,
            )  # fmt: skip
            points += picked.get("selection", {}).get(selection, [])
    return points
