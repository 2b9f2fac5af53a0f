"""What the charts of a page share: text that can be read, and the axis of steps. Colors of text are the page's own
(`assets/theme.css`)."""

from typing import Final, TypeVar

import altair as alt
import pandas as pd

from engine.figures import palette

TEXT_PX: Final = 12  # no text of a chart is smaller
TITLE_PX: Final = 13  # of a panel
MARGIN: Final = 0.015  # of an axis, beyond its ends: marks that stand there are not cut
Chart = TypeVar("Chart", bound=alt.TopLevelMixin)


def themed(chart: Chart) -> Chart:
    """The finished chart with every text at least `TEXT_PX` high. Only for what is drawn, not for a part of a chart."""
    text = {"labelFontSize": TEXT_PX, "titleFontSize": TEXT_PX}
    config = alt.Config(
        axis=alt.AxisConfig(**text, titleFontWeight="normal"),
        legend=alt.LegendConfig(**text, offset=8),
        header=alt.HeaderConfig(labelFontSize=TITLE_PX),
        title=alt.TitleConfig(fontSize=TITLE_PX, fontWeight=600, anchor="middle", offset=6),
    )
    padding = dict.fromkeys(("left", "right", "top", "bottom"), 4)
    return chart.properties(config=config, padding=padding)


def step_axis(last_step: float, *, field: str = "step", title: str | None = "step") -> alt.X:
    """From 0 to the last step, so that charts above each other line up."""
    last = max(float(last_step), 1.0)
    scale = alt.Scale(domain=[-MARGIN * last, (1 + MARGIN) * last], nice=False)
    axis = alt.Axis(grid=False, tickCount=6, format="d", titlePadding=4, labelPadding=4)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def more_or_less(field: str, values: pd.Series, *, title: str) -> alt.Color:
    """Of a heat map: orange above zero, blue below, as far as the largest of all `values`."""
    most = max(0.01, float(values.abs().max()) if len(values) else 0.0)
    # Zero is no color at all, so that one scale serves the light and the dark page.
    colors = [palette.STATUS["vanished"], "rgba(138,148,160,0.06)", palette.GAINED]
    scale = alt.Scale(domain=[-most, 0, most], interpolate="rgb", range=colors)
    legend = alt.Legend(title=title, orient="bottom", format="+.2f", gradientLength=150, titleOrient="left",
                        titleLimit=300, tickCount=3)  # fmt: skip
    return alt.Color(f"{field}:Q", scale=scale, legend=legend)
