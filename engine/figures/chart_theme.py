"""What all charts of a page share: text that can be read. Colors of text come from the page (`assets/theme.css`)."""

from typing import Final, TypeVar

import altair as alt

TEXT_PX: Final = 12  # no text of a chart is smaller
TITLE_PX: Final = 13  # of a panel
Chart = TypeVar("Chart", bound=alt.TopLevelMixin)


def themed(chart: Chart) -> Chart:
    """The finished chart with every text at least `TEXT_PX` high. Only for what is drawn, not for a part of a chart."""
    text = {"labelFontSize": TEXT_PX, "titleFontSize": TEXT_PX}
    config = alt.Config(
        axis=alt.AxisConfig(**text, titleFontWeight="normal"),
        legend=alt.LegendConfig(**text),
        header=alt.HeaderConfig(labelFontSize=TITLE_PX),
        title=alt.TitleConfig(fontSize=TITLE_PX, fontWeight=600, anchor="middle", offset=6),
    )
    return chart.properties(config=config)  # type: ignore[attr-defined,no-any-return]  # every chart has it
