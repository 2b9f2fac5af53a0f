"""One finding as a chart: dots with their 95 % intervals beside a line that says “no difference” or “chance”."""

from collections.abc import Sequence
from typing import Final

import altair as alt
import pandas as pd

from engine.domain.studies import Finding, FindingFigure
from engine.figures import palette

TABLE_COLUMNS = ("measured", "of", "value", "low", "high", "n")
_BEYOND, _OPEN = palette.STATUS["vanished"], palette.SAME  # blue: the interval leaves the line out
_WIDTH, _GAP, _LABELS, _CHAR = 1080, 26, 200, 6.4  # pixels: all panels, between them, a row's name, a letter of it
_ROW, _LEAST_HEIGHT, _POINT = 24, 60, 1e-6
_AXIS: Final = {
    "labelFontSize": 12,
    "labelFlush": False,
    "labelOverlap": False,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 6,
}


def finding_table(finding: Finding) -> pd.DataFrame:
    """A row a figure: measured (what, as its panel's heading), of (its name), value, low, high, n; published where some
    figure was published. NaN: not known."""
    rows = [
        (_words(figure.unit), figure.name, figure.value, figure.low, figure.high, figure.n)
        for figure in finding.figures
    ]
    table = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    table = table.astype({"value": float, "low": float, "high": float})
    published = pd.Series([figure.published for figure in finding.figures], dtype=float)
    return table if published.isna().all() else table.assign(published=published)


def finding_chart(finding: Finding, *, width: int = _WIDTH) -> alt.HConcatChart | None:
    """A panel a unit, a row a figure; None where no figure has a value. `width`: of all panels, in pixels.

    A filled blue dot has an interval that leaves the line out; a grey, hollow one has not, or has no interval. Where
    there is no line, dots with an interval are filled. The line stands in the panels whose unit begins, up to a comma,
    like the first one; what follows the comma is the panel's heading. A diamond is the published figure.
    """
    panels = _panels(finding.figures)
    if not panels:
        return None
    same_rows = len({tuple(figure.name for figure in figures) for figures in panels.values()}) == 1
    labelled = [figures for place, figures in enumerate(panels.values()) if place == 0 or not same_rows]
    names_px = sum(min(_LABELS, _CHAR * max(len(figure.name) for figure in figures)) for figures in labelled)
    each = max(120, (width - round(names_px) - _GAP * len(panels)) // len(panels))
    first = next(iter(panels))
    charts = [
        _panel(
            figures,
            finding.reference if _quantity(unit) == _quantity(first) else None,
            title=_heading(unit) if len(panels) > 1 else None,
            axis=finding.axis if len(panels) == 1 else _axis_title(finding, unit, first),
            names="shown" if unit == first or not same_rows else "hidden",
            width=each,
        )
        for unit, figures in panels.items()
    ]
    # Streamlit sizes a single view to the height it guesses: even one panel is a row of panels.
    return alt.hconcat(*charts, spacing=_GAP, autosize=alt.AutoSizeParams(type="pad"))


def describe(finding: Finding) -> str:
    """The chart in words, for those who do not see it."""
    parts = [
        f"{figure.name}: {figure.value:g} ({figure.low:g} to {figure.high:g})"
        for figure in finding.figures
        if None not in (figure.value, figure.low, figure.high)
    ]
    return f"{finding.axis or finding.question} Means with 95 % intervals. {'; '.join(parts)}"


def _panels(figures: Sequence[FindingFigure]) -> dict[str, list[FindingFigure]]:
    """By unit, in the order given; figures without a value are in the table only."""
    panels: dict[str, list[FindingFigure]] = {}
    for figure in figures:
        if figure.value is not None:
            panels.setdefault(figure.unit, []).append(figure)
    return panels


def _panel(
    figures: Sequence[FindingFigure],
    reference: float | None,
    *,
    title: str | None,
    axis: str,
    names: str,
    width: int,
) -> alt.LayerChart:
    rows = pd.DataFrame([_row(figure, reference) for figure in figures])
    y = alt.Y(
        "name:N", sort=None, title=None,
        axis=alt.Axis(labels=names == "shown", ticks=False, domain=False, labelLimit=_LABELS, **_AXIS),
    )  # fmt: skip
    # All layers say the scale: one that does not would stretch it to 0.
    scale = alt.Scale(domain=_domain(rows, reference), nice=False, zero=False)
    x = alt.X("value:Q", title=axis, scale=scale, axis=alt.Axis(tickCount=5, grid=True, **_AXIS))
    base = alt.Chart(rows).encode(y=y)
    colour = alt.Color("colour:N", legend=None, scale=None)
    tips = [
        alt.Tooltip("name:N", title="figure"),
        alt.Tooltip("value:Q", format=".3f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", format="d"),
    ]
    layers = [
        base.mark_rule(strokeWidth=3, opacity=0.7).encode(
            x=alt.X("low:Q", title=axis, scale=scale), x2="high:Q", color=colour
        ),
        base.mark_point(size=80, opacity=1, strokeWidth=2).encode(
            x=x, color=colour, tooltip=tips,
            fill=alt.Fill("fill:N", legend=None, scale=None),
        ),
    ]  # fmt: skip
    if rows["published"].notna().any():
        layers.append(_diamonds(base, axis, scale))
    if reference is not None:
        layers.insert(0, _line(reference, scale))
    sized = alt.layer(*layers).properties(width=width, height=max(_LEAST_HEIGHT, _ROW * len(rows)))
    if title is None:
        return sized
    return sized.properties(
        title=alt.TitleParams(title, fontSize=12, fontWeight=600, anchor="start", frame="group", offset=6)
    )


def _domain(rows: pd.DataFrame, reference: float | None) -> list[float]:
    """All dots, bars and the line, with some room; where they are one point, room beside it."""
    ends = [*rows["low"], *rows["high"], *rows["value"], *([] if reference is None else [reference])]
    ends += [*rows["published"].dropna()]
    low, high = float(min(ends)), float(max(ends))
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


def _line(at: float, scale: alt.Scale) -> alt.Chart:
    line = alt.Chart(pd.DataFrame({"line": [at]}))
    return line.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=palette.CURSOR).encode(
        x=alt.X("line:Q", scale=scale), tooltip=[alt.Tooltip("line:Q", title="line")]
    )


def _row(figure: FindingFigure, reference: float | None) -> dict[str, object]:
    low, high = figure.low, figure.high
    known = low is not None and high is not None
    filled = low is not None and high is not None and (reference is None or not low <= reference <= high)
    return {
        "name": figure.name,
        "value": figure.value,
        # Without an interval the bar has no length.
        "low": low if known else figure.value,
        "high": high if known else figure.value,
        "interval": f"{low:.3f} to {high:.3f}" if low is not None and high is not None else "too few",
        "n": figure.n,
        "published": figure.published,
        "colour": _BEYOND if filled else _OPEN,
        "fill": _BEYOND if filled else "transparent",
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
