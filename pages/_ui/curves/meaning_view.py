"""Whether the new words wake what they mean, and whether the answer depends on the circuit that was found."""

from collections.abc import Callable

import altair as alt
import streamlit as st

from engine.figures.change_charts import ALL_LAYERS, causal_chart, causal_rows, overlap_chart, overlap_rows
from engine.figures.change_tables import looks_as_overlap
from pages._ui.curves.change_data import Seen
from pages._ui.pickers import pick

_GAP_PX = 20  # between the panels of one chart


def meaning_view(
    page: str, found: Seen, *, last_step: int, analyse: Callable[[], None]
) -> dict[str, alt.FacetChart]:  # fmt: skip
    """Meaning overlap and causal check side by side; each says so where it was not measured. Gives the figures.

    `analyse` offers to trace what the second one needs.
    """
    left, right = st.columns(2, gap="medium")
    with left:
        overlap = _overlap(page, found, last_step)
    with right:
        causal = _causal(found, last_step, analyse)
    figures = {"meaning-overlap": overlap, "causal-check": causal}
    return {name: chart for name, chart in figures.items() if chart is not None}


def _overlap(page: str, found: Seen, last_step: int) -> alt.FacetChart | None:
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        st.markdown("**Do the new words wake what they mean?**", width="stretch")
        layers = _layers(found)
        if layers:
            with st.container(width=150):
                layer = _pick_layer(page, layers)
    if not layers:
        st.caption("Not measured: the prompts of this kind have no known word in the place of the new one.")
        return None
    band = " The band is the 95 % interval of the gap between both." if found.series else ""
    st.caption(
        "How far a new word wakes, where the answer is predicted, the same features as the word it means, and as words "
        f"with other meanings.{band}"
    )
    series = found.series
    rows = overlap_rows(series.overlap, layer=layer) if series else looks_as_overlap(found.looks, layer=layer)
    chart = overlap_chart(rows, last_step=last_step, width=_panel_width(rows["type"].nunique()))
    st.altair_chart(
        chart, key="curves overlap", width="content",
        alt="Overlap of the new words' features with what they mean and with other meanings, by step.",
    )  # fmt: skip
    return chart


def _layers(found: Seen) -> list[int]:
    """Layers of which the overlap is known, all of them together first where that was measured."""
    if found.series is not None:
        return sorted({one.layer for one in found.series.overlap})
    return [*range(max((len(one.own) for look in found.looks for one in look.types), default=0))]


def _pick_layer(page: str, layers: list[int]) -> int:
    default = layers[0] if layers[0] == ALL_LAYERS else layers[-1]
    chosen = pick(
        page, "layer", [str(layer) for layer in layers], label="Layer", what="layer", default=str(default),
        hide_label=True, show=lambda layer: "All layers" if int(layer) == ALL_LAYERS else f"Layer {layer}",
    )  # fmt: skip
    return int(chosen)


def _causal(found: Seen, last_step: int, analyse: Callable[[], None]) -> alt.FacetChart | None:
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        st.markdown("**Does the answer depend on the circuit?**")
    if found.series is None:
        analyse()
        return None
    if not found.series.causal:
        st.caption("Not measured yet.")
        return None
    st.caption(
        "By how much the probability of the right answer falls when the circuit's features are switched off, and when "
        "equally many random other features are. Bands are 95 % intervals."
    )
    rows = causal_rows(found.series.causal)
    chart = causal_chart(rows, last_step=last_step, width=_panel_width(rows["type"].nunique()))
    st.altair_chart(
        chart, key="curves causal", width="content",
        alt="Fall of the right answer's probability without the circuit and without random features, by step.",
    )  # fmt: skip
    return chart


def _panel_width(n_types: int) -> int:
    """All panels of one chart fit into half of the page."""
    return max(90, (530 - (n_types - 1) * _GAP_PX) // max(1, n_types))
