"""Charts beside each other, one a constraint type: as many in a row as there is room for, each as wide as its column.

Every chart has its height before it is drawn, so that nothing moves when it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._ui.charts import draw, kept_charts

MOST_IN_A_ROW: Final = 3
_GAP_PX: Final = 10  # between rows


def panel_columns(names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Each name with the column that its panel is drawn in."""
    n_rows = max(1, -(-len(names) // MOST_IN_A_ROW))
    per_row = max(1, -(-len(names) // n_rows))
    for start in range(0, len(names), per_row):
        row = names[start : start + per_row]
        yield from zip(row, st.columns(per_row, gap="small"), strict=False)


def draw_panels(
    make: "partial[Any]", *, key: str, height: int, alt_text: Callable[[str], str], selection: str = ""
) -> list[Mapping[str, object]]:
    """The charts of `make` (as of `kept_charts`) by constraint type.

    Gives the points of the `selection` that was clicked in any of them.
    """
    points: list[Mapping[str, object]] = []
    panels = kept_charts(make)
    for name, column in panel_columns(list(panels)):
        with column:
            points += draw(panels[name], key=f"{key} {name}", height=height, alt=alt_text(name), selection=selection)
    return points


def room(n_panels: int, height: int) -> DeltaGenerator:
    """The room that panels of this height take, whether they are drawn yet or not."""
    n_rows = max(1, -(-n_panels // MOST_IN_A_ROW))
    return st.container(height=(height + _GAP_PX) * n_rows, border=False)
