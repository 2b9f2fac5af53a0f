"""Whether the new words wake what they mean, and whether the answer depends on the circuit that was found."""

import altair as alt
import streamlit as st

from engine.domain.series import GraphSeries
from engine.figures.change_charts import ALL_LAYERS, causal_chart, causal_rows, overlap_chart, overlap_rows
from pages._ui.jobs_panel import panel_px
from pages._ui.pickers import pick

_GAP_PX = 20  # between the panels of one chart


def meaning_view(page: str, series: GraphSeries, *, last_step: int) -> dict[str, alt.FacetChart]:
    """Meaning overlap and causal check side by side; each says so where it was not measured. Gives the figures."""
    left, right = st.columns(2, gap="medium")
    with left:
        overlap = _overlap(page, series, last_step)
    with right:
        causal = _causal(series, last_step)
    figures = {"meaning-overlap": overlap, "causal-check": causal}
    return {name: chart for name, chart in figures.items() if chart is not None}


def _overlap(page: str, series: GraphSeries, last_step: int) -> alt.FacetChart | None:
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        st.markdown("**Do the new words wake what they mean?**", width="stretch")
        if not series.overlap:
            st.caption("Not measured: the prompts of this kind have no known word in the place of the new one.")
            return None
        with st.container(width=150):
            layer = _pick_layer(page, series)
    st.caption(
        "How far a new word wakes, where the answer is predicted, the same features as the word it means, and as words "
        "with other meanings. The band is the 95 % interval of the gap between both."
    )
    rows = overlap_rows(series.overlap, layer=layer)
    chart = overlap_chart(rows, last_step=last_step, width=_panel_width(rows["type"].nunique()))
    st.altair_chart(
        chart, key="curves overlap", width="content",
        alt="Overlap of the new words' features with what they mean and with other meanings, by step.",
    )  # fmt: skip
    return chart


def _pick_layer(page: str, series: GraphSeries) -> int:
    layers = [str(layer) for layer in sorted({one.layer for one in series.overlap})]
    return int(
        pick(
            page, "layer", layers, label="Layer", what="layer", default=layers[0], hide_label=True,
            show=lambda layer: "All layers" if int(layer) == ALL_LAYERS else f"Layer {layer}",
        )
    )  # fmt: skip


def _causal(series: GraphSeries, last_step: int) -> alt.FacetChart | None:
    with st.container(horizontal=True, vertical_alignment="center", height=44, border=False):
        st.markdown("**Does the answer depend on the circuit?**")
    if not series.causal:
        st.caption("Not measured for this run yet.")
        return None
    st.caption(
        "By how much the probability of the right answer falls when the circuit's features are switched off, and when "
        "equally many random other features are. Bands are 95 % intervals."
    )
    rows = causal_rows(series.causal)
    chart = causal_chart(rows, last_step=last_step, width=_panel_width(rows["type"].nunique()))
    st.altair_chart(
        chart, key="curves causal", width="content",
        alt="Fall of the right answer's probability without the circuit and without random features, by step.",
    )  # fmt: skip
    return chart


def _panel_width(n_types: int) -> int:
    """All panels of one chart fit into half of the page."""
    return max(90, (panel_px(530, 385) - (n_types - 1) * _GAP_PX) // max(1, n_types))
