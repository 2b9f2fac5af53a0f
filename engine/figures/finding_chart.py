"""One finding as charts: dots with their 95% intervals, each beside what it would be if there were nothing to find."""

from collections.abc import Iterable, Sequence
from typing import Final

import altair as alt
import pandas as pd

from engine.domain.numbers import decimal
from engine.domain.studies import Finding, FindingFigure
from engine.figures import palette

TABLE_COLUMNS = ("measured", "of", "value", "low", "high", "null", "n")
_BEYOND, _OPEN = palette.STATUS["vanished"], palette.SAME  # blue: the interval leaves the row's null out
_LABELS = 170  # pixels of a row's name
_ROW, _FRAME, _TITLE = 26, 56, 30  # pixels: of a row, of the axis, of a title
_BESIDE = 3  # charts that each have their own names
_NO_TITLE = "\N{NO-BREAK SPACE}"  # as high as one
_LEAST_ROWS, _POINT = 2, 1e-6  # a width below _POINT is none
_BANDS: Final = alt.Scale(type="band", padding=0)
_AXIS: Final = {
    "labelFontSize": 12,
    "labelFlush": False,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 6,
}


def finding_table(finding: Finding) -> pd.DataFrame:
    """A row a figure, those that are not drawn too: measured (what, as its panel's heading), of (its name), value, low,
    high, null, n; published where some figure was published. NaN: not known."""
    rows = [
        (_words(figure.unit), figure.name, figure.value, figure.low, figure.high, figure.null, figure.n)
        for figure in finding.figures
    ]
    table = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    table = table.astype(dict.fromkeys(("value", "low", "high", "null"), float))
    # Rounded as it is shown; the sum takes the sign off a zero.
    table[["value", "low", "high", "null"]] = table[["value", "low", "high", "null"]].round(3) + 0.0
    published = pd.Series([figure.published for figure in finding.figures], dtype=float)
    return table if published.isna().all() else table.assign(published=published)


def chart_rows(finding: Finding) -> tuple[int, ...]:
    """How many of `finding_charts` stand side by side, row by row: all where there are few, else those of a heading."""
    return tuple(map(len, _in_rows(_panels(finding.figures))))


def finding_charts(finding: Finding) -> tuple[alt.LayerChart, ...]:
    """A chart a unit of the drawn figures, each as wide as its container; a row a figure. None without a value.

    Where there are many, those of one heading stand together, beside each other: the first has the names and the
    heading for all of them.

    A filled blue dot has an interval that leaves its row's null out, a hollow gray one has not, or has no interval. A
    row without a null has a filled gray dot. The dashed line of a row stands at its null, a diamond at the published
    figure. What follows a unit's first comma is the chart's title.
    """
    panels = _panels(finding.figures)
    rows = _in_rows(panels)
    made = []
    for row in rows:
        n_figures = max(len(panels[unit]) for unit in row)
        for place, unit in enumerate(row):
            leads = place == 0 or len(rows) == 1
            panel = _panel(
                panels[unit],
                title=None if len(panels) == 1 else _heading(unit) if leads else _NO_TITLE,
                axis=finding.axis if len(panels) == 1 else _axis_title(finding, unit, rows[0][0]),
                height=_FRAME + (_TITLE if len(panels) > 1 else 0) + _ROW * max(_LEAST_ROWS, n_figures),
                named=leads,
            )
            made.append(panel)
    return tuple(made)


def has_published(finding: Finding) -> bool:
    """Whether some chart has a diamond."""
    return any(figure.published is not None for figure in finding.figures if figure.drawn)


def describe(finding: Finding) -> str:
    """The charts in words, for those who do not see them."""
    parts = [
        f"{figure.name}: {decimal(figure.value)} ({decimal(figure.low)} to {decimal(figure.high)})"
        for figure in finding.figures
        if figure.drawn and None not in (figure.value, figure.low, figure.high)
    ]
    return f"{finding.axis or finding.question} Means with 95% intervals. {'; '.join(parts)}"


def _panels(figures: Sequence[FindingFigure]) -> dict[str, list[FindingFigure]]:
    """By unit, in the order given; figures without a value are in the table only."""
    panels: dict[str, list[FindingFigure]] = {}
    for figure in figures:
        if figure.drawn and figure.value is not None:
            panels.setdefault(figure.unit, []).append(figure)
    return panels


def _in_rows(panels: Iterable[str]) -> list[list[str]]:
    """Units that stand beside each other."""
    units = list(panels)
    if len(units) <= _BESIDE:
        return [units] if units else []
    rows: dict[str, list[str]] = {}
    for unit in units:
        rows.setdefault(_heading(unit), []).append(unit)
    return list(rows.values())


def _panel(
    figures: Sequence[FindingFigure], *, title: str | None, axis: str, height: int, named: bool
) -> alt.LayerChart:
    """`named`: with the figures' names; else a panel to its left has them."""
    rows = pd.DataFrame([_row(figure) for figure in figures])
    y = alt.Y(
        "name:N", sort=None, title=None, scale=_BANDS,
        axis=alt.Axis(ticks=False, domain=False, labels=named, labelLimit=_LABELS, labelOverlap=False, **_AXIS),
    )  # fmt: skip
    # All layers say the scale: one that does not would stretch it to 0.
    scale = alt.Scale(domain=_domain(rows), nice=False, zero=False)
    x = alt.X("value:Q", title=axis, scale=scale, axis=alt.Axis(tickCount=5, grid=True, labelOverlap=True, **_AXIS))
    base = alt.Chart(rows).encode(y=y)
    colour = alt.Color("colour:N", legend=None, scale=None)
    tips = [
        alt.Tooltip("name:N", title="figure"),
        alt.Tooltip("written:N", title="value"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("n:Q", format=",d"),
        alt.Tooltip("line:N", title="dashed line"),
    ]
    layers = [
        *([_lines(base, axis, scale)] if rows["null"].notna().any() else []),
        *([_diamonds(base, axis, scale)] if rows["published"].notna().any() else []),
        base.mark_rule(strokeWidth=3, opacity=0.75).encode(
            x=alt.X("low:Q", title=axis, scale=scale), x2="high:Q", color=colour, tooltip=tips
        ),
        base.mark_point(size=90, strokeWidth=2, opacity=1, filled=False).encode(
            x=x, color=colour, fill=alt.Fill("fill:N", scale=None, legend=None), tooltip=tips
        ),
    ]
    made: alt.LayerChart = alt.layer(*layers).properties(width="container", height=height)
    return (
        made if title is None else made.properties(title=alt.TitleParams(title, fontSize=13, anchor="start", offset=4))
    )


def _domain(rows: pd.DataFrame) -> list[float]:
    """Wide enough for every dot, bar, line and diamond."""
    ends = pd.concat([rows[name].dropna().astype(float) for name in ("low", "high", "null", "published")])
    low, high = float(ends.min()), float(ends.max())
    room = 0.06 * (high - low) if high - low > _POINT else 0.5
    return [low - room, high + room]


def _diamonds(base: alt.Chart, title: str, scale: alt.Scale) -> alt.Chart:
    """Beside the dots, which they do not cover: only an outline."""
    return (
        base.transform_filter("isValid(datum.published)")
        .mark_point(shape="diamond", size=150, strokeWidth=2, opacity=1, filled=False, color=palette.CURSOR)
        .encode(
            x=alt.X("published:Q", title=title, scale=scale),
            tooltip=[alt.Tooltip("name:N", title="figure"), alt.Tooltip("published:Q", format=".3f")],
        )
    )


def _lines(base: alt.Chart, title: str, scale: alt.Scale) -> alt.Chart:
    """A dashed line as high as its row, so that equal nulls make one line."""
    return (
        base.transform_filter("isValid(datum.null)")
        .mark_rule(strokeWidth=1.5, strokeDash=[4, 3], color=palette.CURSOR)
        .encode(
            y=alt.Y("name:N", sort=None, scale=_BANDS, bandPosition=0),
            y2=alt.Y2("name:N", bandPosition=1),
            x=alt.X("null:Q", title=title, scale=scale),
            tooltip=[alt.Tooltip("name:N", title="figure"), alt.Tooltip("line:N", title="dashed line")],
        )
    )


def _row(figure: FindingFigure) -> dict[str, object]:
    low, high, null = figure.low, figure.high, figure.null
    known = low is not None and high is not None
    beyond = low is not None and high is not None and null is not None and not low <= null <= high
    return {
        "name": figure.name,
        "value": figure.value,
        "written": decimal(figure.value, 3),
        # Without an interval the bar has no length.
        "low": low if known else figure.value,
        "high": high if known else figure.value,
        "interval": f"{decimal(low, 3)} to {decimal(high, 3)}" if known else "too few",
        "n": figure.n,
        "null": null,
        "line": "none" if null is None else decimal(null, 3),
        "published": figure.published,
        "colour": _BEYOND if beyond else _OPEN,
        "fill": _BEYOND if beyond else _OPEN if null is None and known else "transparent",
    }


def _axis_title(finding: Finding, unit: str, first: str) -> str:
    """The finding's own words where the panel measures the same as the first, else the unit's."""
    return finding.axis if _quantity(unit) == _quantity(first) else _quantity(unit)


def _quantity(unit: str) -> str:
    return unit.partition(",")[0].strip()


def _heading(unit: str) -> str:
    """What stands after the comma, else the unit itself."""
    quantity, _, which = unit.partition(",")
    words = (which or quantity).strip()
    return words[:1].upper() + words[1:]


def _words(unit: str) -> str:
    return unit.replace(",", ":", 1)
