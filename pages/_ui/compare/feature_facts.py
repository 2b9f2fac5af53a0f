"""What a feature stands for, A beside B: how often and how strongly it is active, on which texts, what it writes."""

from functools import partial

import streamlit as st

from engine.domain.features import MOST_TOKENS, FeatureFacts
from engine.domain.numbers import count
from engine.figures.feature_charts import activation_chart
from engine.figures.feature_html import facts_table
from engine.figures.feature_words import activity
from pages._ui.charts import draw, kept_chart

_WHICH = (
    "Of the texts of the corpus and of the model's world; of a text of more than "
    f"{count(MOST_TOKENS - 1)} tokens, or than the model takes, its beginning."
)
CHART_PX = 56  # of a histogram's bars


def feature_view(facts_a: FeatureFacts | None, facts_b: FeatureFacts | None, *, height: int) -> None:
    """`height`: of the whole part, in pixels; what is longer scrolls. A side that was not looked up is None."""
    with st.container(height=height, border=False):
        if facts_a is None and facts_b is None:
            st.caption("Not looked up yet. Press “Look it up”: it takes seconds.")
            return
        sides = (("A", facts_a, facts_b), ("B", facts_b, facts_a))
        for column, (side, facts, beside) in zip(st.columns(2, gap="small"), sides, strict=True):
            with column:
                _side(side, facts, beside)
        st.html(facts_table(facts_a, facts_b))


def _side(side: str, facts: FeatureFacts | None, beside: FeatureFacts | None) -> None:
    if facts is None:
        st.caption(f"**{side}** · not looked up yet")
        return
    st.caption(f"**{side}** · {activity(facts)}", help=_WHICH)
    if facts.n_active:
        chart = kept_chart(partial(activation_chart, facts, beside=beside, height=CHART_PX))
        draw(chart, key=f"activation {side}")
