"""Component circuits as Altair charts: faithfulness, change over checkpoints, robustness, unions. Pure.

Each takes rows of `component_rows` and gives a chart a panel, by its name, in the order of the rows: charts of their
own can stretch with the page, facets cannot. `height`: of a panel, in pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd

from engine.figures import palette
from engine.figures.component_rows import (
    APPEARED,
    COMPONENTS,
    DIRECT,
    FEATURES,
    PUBLISHED,
    SUBJECT_TITLES,
    UNION,
    VANISHED,
)

_PERCENT: Final = "format(datum.value * 100, '~g') + '%'"
_EXPORT_PX = 420  # the width of a panel in a file
Panels = dict[str, alt.Chart | alt.LayerChart]
_ROOM = 0.5  # an interval may be drawn as far beyond all values: a ratio's can be very wide
_SIZE_TIPS = [
    alt.Tooltip("share:Q", title="share of edges asked for", format=".1%"),
    alt.Tooltip("n_edges:Q", title="edges after pruning", format=",d"),
    alt.Tooltip("n_nodes:Q", title="nodes after pruning", format=",d"),
]


def faithfulness_charts(rows: pd.DataFrame, *, height: int = 220) -> Panels:
    """Faithfulness, and completeness where it was measured, against size; a line with its band a checkpoint.

    `rows`: of `curve_rows`. At 1 a circuit does what the whole model does, at 0 no more than corrupted inputs.
    """
    names = list(dict.fromkeys(rows["checkpoint"]))
    tips = [
        alt.Tooltip("checkpoint:N"),
        alt.Tooltip("measure:N"),
        alt.Tooltip("value:Q", format=".2f"),
        alt.Tooltip("interval:N", title="95% interval"),
        *_SIZE_TIPS,
    ]
    color = _series(alt.Color, "checkpoint", names, palette.SERIES)
    shape = _series(alt.Shape, "checkpoint", names, palette.SHAPES)
    layers = _lines_with_bands(rows, color, shape, tips)
    return _panels(lambda part: alt.layer(*layers, data=part), rows, "measure", height)


def union_chart(rows: pd.DataFrame, *, height: int = 240) -> alt.LayerChart:
    """Faithfulness of united and of directly found circuits against size.

    `rows`: of `union_rows`, with those of `published_union_rows` where these are to be seen: as marks without a line.
    """
    names = [name for name in (UNION, DIRECT, PUBLISHED) if name in set(rows["which"])]
    tips = [
        alt.Tooltip("which:N", title="circuit"),
        alt.Tooltip("value:Q", title="faithfulness", format=".3f"),
        alt.Tooltip("interval:N", title="95% interval"),
        *_SIZE_TIPS,
        alt.Tooltip("edges:Q", title="Jaccard of edges, both circuits", format=".2f"),
        alt.Tooltip("nodes:Q", title="Jaccard of nodes, both circuits", format=".2f"),
    ]
    colors = {UNION: palette.CIRCUIT, DIRECT: palette.SATURATED, PUBLISHED: palette.SAME}
    shapes = {UNION: "circle", DIRECT: "square", PUBLISHED: "diamond"}
    color = _series(alt.Color, "which", names, [colors[name] for name in names])
    shape = _series(alt.Shape, "which", names, [shapes[name] for name in names])
    layers = _lines_with_bands(rows, color, shape, tips, title="faithfulness", unless=PUBLISHED)
    return alt.layer(*layers, data=rows).properties(height=height)


def layer_change_charts(rows: pd.DataFrame, *, last_step: int, height: int = 120) -> Panels:
    """A heat map, layers by intervals between checkpoints; a panel for components and each kind of feature graph.

    `rows`: of `layer_rows`. A panel's colors go from no change to its own largest. `last_step`: where the axis ends.
    """
    return _panels(lambda part: _layer_changes(part, last_step), rows, "what", height)


def _layer_changes(rows: pd.DataFrame, last_step: int) -> alt.Chart:
    """One panel. Feature graphs may have other layers than the model has blocks: each panel has its own."""
    # No change is no color at all, so that one scale serves the light and the dark page.
    scale = alt.Scale(domain=[0, 1], interpolate="rgb", range=["rgba(138,148,160,0.06)", palette.CIRCUIT])
    legend = alt.Legend(title="change, of the largest", orient="bottom", format=".0%", gradientLength=140,
                        titleOrient="left", titleLimit=300, tickCount=3)  # fmt: skip
    layers = sorted(rows["layer"].unique(), reverse=True)
    axis = alt.Axis(titlePadding=6, labelPadding=4, ticks=False)
    return (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=_step_axis(last_step, field="left"),
            x2="right:Q",
            y=alt.Y("layer:O", title="layer", sort=layers, axis=axis),
            color=alt.Color("relative:Q", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("what:N", title="of"),
                alt.Tooltip("layer:O"),
                alt.Tooltip("left:Q", title="from step", format="d"),
                alt.Tooltip("right:Q", title="to step", format="d"),
                alt.Tooltip("change:Q", title="sum of |change|", format=".3g"),
                alt.Tooltip("relative:Q", title="of the largest", format=".0%"),
            ],
        )
    )


def jaccard_charts(rows: pd.DataFrame, *, last_step: int, height: int = 160) -> Panels:
    """What a circuit shares with the one before, over steps: a panel for nodes, one for edges. At 1 both have the same.

    `rows`: of `jaccard_rows`.
    """
    names = [name for name in (COMPONENTS, FEATURES) if name in set(rows["of"])]
    color = _series(alt.Color, "of", names, [palette.CIRCUIT, palette.SAME])
    shape = _series(alt.Shape, "of", names, ["circle", "square"])
    tips = [
        alt.Tooltip("of:N", title="circuit of"),
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("to_step:Q", title="compared with step", format="d"),
        alt.Tooltip("jaccard:Q", title="Jaccard", format=".2f"),
    ]
    base = alt.Chart().encode(x=_step_axis(last_step), color=color)
    y = alt.Y("jaccard:Q", title="Jaccard", scale=alt.Scale(domain=[0, 1]), axis=_unit_axis())
    layers = [
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=70).encode(y=y, shape=shape, tooltip=tips),
    ]
    return _panels(lambda part: alt.layer(*layers, data=part), rows, "what", height)


def flip_charts(rows: pd.DataFrame, *, last_step: int, height: int = 160) -> Panels:
    """What appeared (up) and vanished (down) between checkpoints: a panel for nodes and one for edges, each with a
    scale of its own. `rows`: `flip_rows`."""
    colors = [palette.STATUS["appeared"], palette.STATUS["vanished"]]
    axis = alt.Axis(
        tickCount=5, tickMinStep=1, titlePadding=6, labelPadding=4, labelExpr="format(abs(datum.value), ',d')"
    )
    chart = (
        alt.Chart()
        .transform_calculate(zero="0")
        .mark_rect(xOffset=1, x2Offset=-1)
        .encode(
            x=_step_axis(last_step, field="left"),
            x2="right:Q",
            y=alt.Y("height:Q", title="number", axis=axis),
            y2="zero:Q",
            color=_series(alt.Color, "kind", [APPEARED, VANISHED], colors),
            tooltip=[
                alt.Tooltip("left:Q", title="from step", format="d"),
                alt.Tooltip("right:Q", title="to step", format="d"),
                alt.Tooltip("what:N", title="of"),
                alt.Tooltip("kind:N", title="status"),
                alt.Tooltip("n:Q", title="number", format=",d"),
                alt.Tooltip("share:Q", title="share of the first circuit", format=".0%"),
            ],
        )
    )
    return _panels(lambda part: chart.properties(data=part), rows, "what", height)


def robustness_charts(rows: pd.DataFrame, *, height: int = 220) -> Panels:
    """Jaccard of nodes and of edges against how many words are replaced, a line a subject. `rows`: `robustness_rows`.

    The marks at 0 stand apart from the lines: circuits of disjoint parts of the data, with each other.
    """
    names = [title for title in SUBJECT_TITLES.values() if title in set(rows["subject"])]
    colors = dict(zip(SUBJECT_TITLES.values(), (palette.CIRCUIT, palette.SATURATED, palette.SAME), strict=True))
    shapes = dict(zip(SUBJECT_TITLES.values(), ("circle", "square", "diamond"), strict=True))
    color = _series(alt.Color, "subject", names, [colors[name] for name in names])
    shape = _series(alt.Shape, "subject", names, [shapes[name] for name in names])
    most = float(rows["level"].max()) if len(rows) else 0.0
    x = alt.X(
        "at:Q", title="words replaced (at 0%: disjoint parts of the data)",
        scale=alt.Scale(domain=[-0.05, max(0.1, most) + 0.03], nice=False),
        axis=alt.Axis(grid=False, labelExpr=_PERCENT, tickCount=6, titlePadding=4, labelPadding=4),
    )  # fmt: skip
    y = alt.Y("jaccard:Q", title="Jaccard", scale=alt.Scale(domain=[0, 1]), axis=_unit_axis())
    tips = [
        alt.Tooltip("subject:N", title="model"),
        alt.Tooltip("compared:N", title="circuits of"),
        alt.Tooltip("jaccard:Q", title="Jaccard", format=".2f"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("n:Q", title="pairs of circuits", format="d"),
    ]
    base = alt.Chart().encode(x=x, color=color)
    lines = base.transform_filter("datum.kind == 'perturbed'")
    apart = base.transform_filter("datum.kind == 'fifths'")
    ends = {"y": alt.Y("low:Q", title="Jaccard"), "y2": "high:Q"}
    layers = [
        lines.mark_area(opacity=0.14).encode(**ends),
        lines.mark_line(strokeWidth=2).encode(y=y),
        lines.mark_point(filled=True, opacity=1, size=50).encode(y=y, shape=shape, tooltip=tips),
        apart.mark_rule(strokeWidth=2.5, opacity=0.7).encode(**ends),
        apart.mark_point(filled=True, opacity=1, size=100).encode(y=y, shape=shape, tooltip=tips),
    ]
    return _panels(lambda part: alt.layer(*layers, data=part), rows, "what", height)


def _lines_with_bands(
    rows: pd.DataFrame, color: alt.Color, shape: alt.Shape, tips: list[alt.Tooltip], *,
    title: str | None = None, unless: str = "",
) -> list[alt.Chart]:  # fmt: skip
    """Bands, lines and marks over size; of the series `unless` the marks alone. With a single size bands are bars."""
    base = alt.Chart().encode(x=_share_axis(rows), color=color)
    lined = base.transform_filter(f"datum.which != '{unless}'") if unless else base
    y, low = (_ratio_axis(rows, field, title) for field in ("value", "low"))
    band = lined.encode(y=low, y2="high:Q")
    several = rows["share"].nunique() > 1
    return [
        band.mark_area(opacity=0.14, clip=True) if several else band.mark_rule(opacity=0.6, strokeWidth=3, clip=True),
        lined.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=70).encode(y=y, shape=shape, tooltip=tips),
    ]


def _series(channel: Any, field: str, names: Sequence[str], values: Sequence[str]) -> Any:
    """Colour or shape by a field; both channels make one legend."""
    used = [values[place % len(values)] for place in range(len(names))]
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=90, labelLimit=400)
    return channel(f"{field}:N", scale=alt.Scale(domain=[*names], range=used), legend=legend)


def _share_axis(rows: pd.DataFrame) -> alt.X:
    """A log axis of the share of edges, with a tick at every size."""
    shares = sorted(rows["share"].unique().tolist())
    low, high = (shares[0], shares[-1]) if shares else (0.01, 1.0)
    room = 1.1 if high > low else 2.0
    scale = alt.Scale(type="log", domain=[low / room, high * room], nice=False)
    axis = alt.Axis(
        grid=False, values=shares, labelExpr=_PERCENT, labelOverlap="greedy", titlePadding=4, labelPadding=4
    )
    return alt.X("share:Q", title="share of all edges", scale=scale, axis=axis)


def _ratio_axis(rows: pd.DataFrame, field: str, title: str | None) -> alt.Y:
    """From 0 to 1, and further where values or intervals are."""
    value, low, high = (rows[name].dropna() for name in ("value", "low", "high"))
    bottom, top = min([0.0, *value]), max([1.0, *value])
    domain = [max(bottom - _ROOM, min([bottom, *low])), min(top + _ROOM, max([top, *high]))]
    axis = alt.Axis(tickCount=5, format=".1f", titlePadding=6, labelPadding=4)
    return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domain=domain, nice=False), axis=axis)


def _step_axis(last_step: int, *, field: str = "step") -> alt.X:
    """From 0 to the last step, as the probe curves."""
    axis = alt.Axis(grid=False, tickCount=6, format="d", titlePadding=4, labelPadding=4)
    return alt.X(f"{field}:Q", title="step", scale=alt.Scale(domain=[0, max(last_step, 1)], nice=False), axis=axis)


def _unit_axis() -> alt.Axis:
    return alt.Axis(values=[0, 0.5, 1], format=".1f", titlePadding=6, labelPadding=4)


def side_by_side(panels: Mapping[str, alt.Chart | alt.LayerChart]) -> alt.HConcatChart:
    """All panels as one picture to take away."""
    return alt.hconcat(*(chart.properties(width=_EXPORT_PX) for chart in panels.values()))


def _panels(
    draw: Callable[[pd.DataFrame], alt.Chart | alt.LayerChart], rows: pd.DataFrame, by: str, height: int
) -> Panels:
    """A chart a value of the column `by`, in the order of the rows."""
    return {
        str(name): draw(part).properties(height=height, title=str(name)) for name, part in rows.groupby(by, sort=False)
    }
