"""Whether the new words activate what they mean, and whether the answer depends on the circuit that was found."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from engine.figures.change_charts import (
    ALL_LAYERS,
    causal_chart,
    causal_panels,
    causal_rows,
    overlap_chart,
    overlap_panels,
    overlap_rows,
)
from engine.figures.change_tables import readings_as_overlap
from pages._ui.change_data import Seen
from pages._ui.chart_export import Figures
from pages._ui.panels import draw_panels
from pages._ui.pickers import pick
from pages._ui.text import words

_PANEL_PX = 230


def meaning_view(
    page: str, found: Seen, *, last_step: int, analyse: Callable[[], None]
) -> Figures:  # fmt: skip
    """Meaning overlap and causal check; each says so where it was not measured. Gives the figures.

    `analyse` offers to trace what the second one needs.
    """
    return _overlap(page, found, last_step) | _causal(found, last_step, analyse)


def _overlap(page: str, found: Seen, last_step: int) -> Figures:
    layers = _layers(found)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Do the new words activate the features of what they mean?**", width="stretch")
        if layers:
            with st.container(width=150):
                layer = _pick_layer(page, layers)
    if not layers:
        st.caption("Not measured: the prompts of this kind have no known word in the place of the new one.")
        return {}
    band = " The band is the 95% interval of the gap between both." if found.series else ""
    st.caption(
        "Meaning overlap: how far a new word activates, where the answer is predicted, the same features as the word "
        f"it means, and as words with other meanings.{band}"
    )
    series = found.series
    rows = overlap_rows(series.overlap, layer=layer) if series else readings_as_overlap(found.readings, layer=layer)
    draw_panels(
        partial(overlap_panels, rows, last_step=last_step, height=_PANEL_PX), key="curves overlap", height=_PANEL_PX,
        alt_text=lambda name: f"{words(name).capitalize()}: overlap of the new words' features with those of what they "
        "mean and of other meanings, by step.",
    )  # fmt: skip
    return {"meaning-overlap": partial(overlap_chart, rows, last_step=last_step)}


def _layers(found: Seen) -> list[int]:
    """Layers of which the overlap is known, all of them together first where that was measured."""
    if found.series is not None:
        return sorted({one.layer for one in found.series.overlap})
    return [*range(max((len(one.own) for reading in found.readings for one in reading.types), default=0))]


def _pick_layer(page: str, layers: list[int]) -> int:
    default = layers[0] if layers[0] == ALL_LAYERS else layers[-1]
    chosen = pick(
        page, "layer", [str(layer) for layer in layers], label="Layer", what="layer", default=str(default),
        hide_label=True, show=lambda layer: "All layers" if int(layer) == ALL_LAYERS else f"Layer {layer}",
    )  # fmt: skip
    return int(chosen)


def _causal(found: Seen, last_step: int, analyse: Callable[[], None]) -> Figures:
    st.markdown("**Does the answer depend on the circuit?**")
    if found.series is None:
        analyse()
        return {}
    if not found.series.causal:
        st.caption("Not measured yet.")
        return {}
    st.caption(
        "By how much the probability of the right answer falls when the circuit's features are ablated (×0), and when "
        "as many random other features are. Bands are 95% intervals."
    )
    rows = causal_rows(found.series.causal)
    draw_panels(
        partial(causal_panels, rows, last_step=last_step, height=_PANEL_PX), key="curves causal", height=_PANEL_PX,
        alt_text=lambda name: f"{words(name).capitalize()}: fall of the right answer's probability without the "
        "circuit and without random features, by step.",
    )  # fmt: skip
    return {"causal-check": partial(causal_chart, rows, last_step=last_step)}
