"""What an intervention did to the outputs: probabilities before and after; the change of the logits."""

import altair as alt
import pandas as pd

from engine.domain.corpus import PROBE_KINDS
from engine.domain.interventions import Intervention
from engine.figures import palette
from engine.figures.names import told_apart

MOST = 6  # outputs shown: the likeliest before or after


def effect_table(found: Intervention, *, n: int = MOST) -> pd.DataFrame:
    """The `n` outputs that are likeliest before or after: output, p before, p after, logit change (of the centered
    logit, measured) and predicted (the same by the graph)."""
    table = pd.DataFrame(
        {
            "output": told_apart(found.tokens),
            "p before": found.p_before,
            "p after": found.p_after,
            "logit change": [
                after - before for before, after in zip(found.logit_before, found.logit_after, strict=True)
            ],
            "predicted": found.predicted,
        }
    )
    larger = table[["p before", "p after"]].max(axis=1)
    return table.loc[larger.sort_values(ascending=False, kind="stable").index[:n]].reset_index(drop=True)


def effect_chart(found: Intervention, *, n: int = MOST, height_per_output: int = 30) -> alt.LayerChart:
    """Two bars an output: pale before, full after."""
    rows = effect_table(found, n=n)
    order = rows["output"].tolist()
    long = rows.rename(columns={"p before": "before", "p after": "after"}).melt(
        id_vars="output", value_vars=["before", "after"], var_name="when", value_name="p"
    )
    base = alt.Chart(long).encode(
        y=alt.Y("output:N", sort=order, title=None, axis=alt.Axis(labelFontSize=12, labelOverlap=False)),
        yOffset=alt.YOffset("when:N", sort=["before", "after"]),
        x=alt.X("p:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=3, format=".1f")),
        tooltip=["output:N", "when:N", alt.Tooltip("p:Q", format=".3f")],
    )
    bars = base.mark_bar(cornerRadius=2).encode(
        color=alt.Color(
            "when:N", sort=["before", "after"], legend=None,
            scale=alt.Scale(domain=["before", "after"], range=[palette.SAME, PROBE_KINDS["recall"].color]),
        ),
        opacity=alt.condition(alt.datum.when == "before", alt.value(0.45), alt.value(1)),
    )  # fmt: skip
    words = base.mark_text(align="left", dx=4, fontSize=11, color=palette.SAME).encode(
        text=alt.Text("p:Q", format=".2f")
    )
    return alt.layer(bars, words).properties(height=max(1, len(rows)) * height_per_output)
