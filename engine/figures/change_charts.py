"""How the circuits of a run changed, as Altair charts that line up with its learning curves. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from engine.domain.graphs import FIT_LIMIT
from engine.domain.measures import Measure, To
from engine.domain.series import CausalCheck, Overlap
from engine.figures import palette

SAID_TITLES: Final = {"change": "a change", "within": "within the noise", "unclear": "unclear"}
NOISE_TITLE: Final = "noise: differences between prompts where nothing was learned"
OWN, OTHER = "what the word means", "other meanings"
CIRCUIT, RANDOM = "its circuit", "as many random features"
_AXIS_PX: Final = 22  # as wide as the labels of an axis from 0.0 to 1.0, so that panels above each other line up
ALL_LAYERS: Final = -1  # as in `Overlap.layer`
# Marks that differ by shape too: a disc, a disc half full, a ring. Paths in the square from -1 to 1 (Vega's own frame);
# the ring's hole runs against its rim, so that it stays empty.
_DISC = "M-1,0A1,1,0,1,1,1,0A1,1,0,1,1,-1,0Z"
_RING = _DISC + "M-0.62,0A0.62,0.62,0,1,0,0.62,0A0.62,0.62,0,1,0,-0.62,0Z"
_HALF = _RING + "M0.62,0A0.62,0.62,0,0,1,-0.62,0Z"
_SAID_MARK: Final = {"change": _DISC, "within": _RING, "unclear": _HALF}
_SAID_COLOUR: Final = {"change": palette.CIRCUIT, "within": palette.SAME, "unclear": palette.CIRCUIT}
CHANGE_COLUMNS: Final = (
    "step", "constraint_type", "to", "to_step", "measure", "change", "low", "high", "edge", "said", "n", "fit",
)  # fmt: skip
_CAUSAL_COLUMNS: Final = (
    "constraint_type", "type", "step", "what", "drop", "low", "high", "interval", "p_before", "n", "n_features",
)  # fmt: skip
_CHANGE_TIPS = [
    alt.Tooltip("step:Q", format="d"),
    alt.Tooltip("to_step:Q", title="compared with step", format="d"),
    alt.Tooltip("type:N"),
    alt.Tooltip("change:Q", format=".2f"),
    alt.Tooltip("interval:N", title="95 % interval"),
    alt.Tooltip("edge:Q", title="noise up to", format=".2f"),
    alt.Tooltip("said_title:N", title="so it is"),
    alt.Tooltip("fit:Q", title="replacement score", format=".2f"),
    alt.Tooltip("n:Q", title="prompts", format="d"),
]


@dataclass(frozen=True)
class Mark:
    """A vertical rule in the panel of one constraint type."""

    step: int
    label: str
    lasting: bool = True  # the others are grey: a rest that ended


def change_rows(
    changes: pd.DataFrame, *, to: To, measure: Measure, run: str = "", marks: Mapping[str, Sequence[Mark]] | None = None
) -> pd.DataFrame:
    """What one change curve shows: the rows of `changes` (as `RunChanges.changes`) of one measure and comparison.

    Adds run, type (readable), interval, said_title, low_fit (a replacement score below 0.8), and for the `marks` of a
    constraint type, one in each of its first rows: mark (step), mark_label, lasting.
    """
    rows = changes[(changes["to"] == to) & (changes["measure"] == measure)].sort_values("step", kind="stable")
    rows = rows.assign(
        run=run,
        type=rows["constraint_type"].str.replace("_", " "),
        interval=[f"{low:.2f} to {high:.2f}" for low, high in zip(rows["low"], rows["high"], strict=True)],
        said_title=rows["said"].map(SAID_TITLES),
        low_fit=rows["fit"] < FIT_LIMIT,
        mark=float("nan"),
        mark_label="",
        lasting=False,
    )
    order = list(dict.fromkeys(changes["constraint_type"]))  # panels stay in the order of the probe curves
    rows = rows.sort_values("constraint_type", key=lambda column: column.map(order.index), kind="stable")
    rows = rows.reset_index(drop=True)
    for constraint_type, own in (marks or {}).items():
        places = np.flatnonzero(rows["constraint_type"] == constraint_type)[: len(own)]
        for place, one in zip(places.tolist(), own, strict=False):
            rows.loc[place, "mark"] = float(one.step)
            rows.loc[place, "mark_label"] = one.label
            rows.loc[place, "lasting"] = one.lasting
    return rows


def change_chart(rows: pd.DataFrame, *, last_step: int, width: int = 420, height: int = 160) -> alt.FacetChart:
    """Circuit change over steps: a panel a constraint type, its bootstrap band, the noise filled below its edge.

    `rows`: of `change_rows`. `last_step`: where the axis ends, so that it lines up with the probe curves.
    `width`, `height`: of one panel, in pixels. The selection `change` (fields run, step, to_step) tells which point was
    clicked. A step whose replacement score is low has a small triangle at the bottom.
    """
    clicked = alt.selection_point(name="change", fields=["run", "step", "to_step"], on="click", empty=False)
    base = alt.Chart().encode(x=_step_axis(last_step))
    y = alt.Y("change:Q", title="change", scale=alt.Scale(domain=[0, 1]), axis=_unit_axis())
    layers = [
        *_noise(base, rows),
        _band(base, rows, "low", "high", palette.CIRCUIT),
        base.mark_line(strokeWidth=1.5, color=palette.CIRCUIT, opacity=0.7).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=95).encode(y=y, shape=_said(alt.Shape), color=_said(alt.Color)),
        base.transform_filter("datum.low_fit")
        .mark_point(filled=True, opacity=1, size=45, shape="triangle-up", color=palette.LOW_FIT)
        .encode(y=alt.value(height - 5), tooltip=_CHANGE_TIPS),
        *_marks(last_step),
        # A ring has a hole: what is clicked and hovered is a disc over it that is not seen.
        base.mark_point(filled=True, opacity=0, size=220).encode(y=y, tooltip=_CHANGE_TIPS).add_params(clicked),
    ]
    return _facet(alt.layer(*layers, data=rows), width, height)


def layer_changes(layers: pd.DataFrame, *, to: To) -> pd.DataFrame:
    """How the share of influence of each layer differs: constraint_type, layer, step, to_step, share, change, left,
    right (the steps between which a cell is drawn).

    `layers`: as `RunChanges.layers`. `change` is later minus earlier: above 0 where training moved influence into the
    layer. Each checkpoint but the first (with `last`: but the last) has a row a layer.
    """
    cells = []
    for (constraint_type, layer), part in layers.groupby(["constraint_type", "layer"], sort=False):
        shares = dict(zip(part["step"].tolist(), part["share"].tolist(), strict=True))
        steps = sorted(shares)
        for before, after in pairwise(steps):
            step = before if to == "last" else after
            other = {"previous": before, "base": steps[0], "last": steps[-1]}[to]
            difference = shares[max(step, other)] - shares[min(step, other)]
            cells.append((constraint_type, layer, step, other, shares[step], difference, before, after))
    columns = ["constraint_type", "layer", "step", "to_step", "share", "change", "left", "right"]
    return pd.DataFrame(cells, columns=columns)


def layer_chart(cells: pd.DataFrame, *, last_step: int, width: int = 420, height: int = 90) -> alt.FacetChart:
    """A heat map, layers over steps: orange where influence moved in, blue where it left. `cells`: `layer_changes`."""
    rows = cells.assign(type=cells["constraint_type"].str.replace("_", " "))
    most = max(0.01, float(rows["change"].abs().max()) if len(rows) else 0.0)
    # Nothing changed is no colour at all, so that one scale serves the light and the dark page.
    scale = alt.Scale(
        domain=[-most, 0, most],
        interpolate="rgb",
        range=[palette.STATUS["vanished"], "rgba(138,148,160,0.06)", palette.GAINED],
    )
    legend = alt.Legend(title="share of influence: less, more", orient="bottom", format="+.2f", gradientLength=180,
                        titleOrient="left", titleLimit=300, tickCount=3)  # fmt: skip
    deepest = sorted(rows["layer"].unique(), reverse=True)
    chart = (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=_step_axis(last_step, field="left"),
            x2="right:Q",
            y=alt.Y(
                "layer:O",
                title="layer",
                sort=deepest,
                axis=alt.Axis(titlePadding=6, labelPadding=4, ticks=False, minExtent=_AXIS_PX),
            ),
            color=alt.Color("change:Q", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("step:Q", format="d"),
                alt.Tooltip("to_step:Q", title="compared with step", format="d"),
                alt.Tooltip("layer:O"),
                alt.Tooltip("share:Q", title="share of influence", format=".2f"),
                alt.Tooltip("change:Q", format="+.3f"),
            ],
        )
    )
    return _facet(chart, width, height)


def overlap_rows(overlap: Sequence[Overlap], *, layer: int = ALL_LAYERS) -> pd.DataFrame:
    """constraint_type, type, step, which (own, other), overlap, low, high, gap, interval, n: two rows an entry.

    `low` and `high` are drawn around own: other plus the interval of the gap between both.
    """
    rows = []
    for one in sorted((one for one in overlap if one.layer == layer), key=lambda one: one.step):
        told = {
            "constraint_type": one.constraint_type, "type": one.constraint_type.replace("_", " "), "step": one.step,
            "gap": one.gap.value, "interval": f"{one.gap.low:.2f} to {one.gap.high:.2f}", "n": one.n,
        }  # fmt: skip
        ends = {"low": max(0.0, one.other + one.gap.low), "high": min(1.0, one.other + one.gap.high)}
        rows += [told | {"which": OWN, "overlap": one.own} | ends, told | {"which": OTHER, "overlap": one.other}]
    columns = ["constraint_type", "type", "step", "which", "overlap", "low", "high", "gap", "interval", "n"]
    return pd.DataFrame(rows, columns=columns)


def overlap_chart(rows: pd.DataFrame, *, last_step: int, width: int = 240, height: int = 130) -> alt.FacetChart:
    """Meaning overlap over steps: with the word's own meaning and with the others. `rows`: of `overlap_rows`."""
    top = max(0.3, float(rows[["overlap", "high"]].max().max()) if len(rows) else 0.0)
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("which:N", title="overlap with"),
        alt.Tooltip("overlap:Q", format=".2f"),
        alt.Tooltip("gap:Q", title="own - other", format=".2f"),
        alt.Tooltip("interval:N", title="95 % interval of it"),
        alt.Tooltip("n:Q", title="words x phrasings", format="d"),
    ]
    colours = {OWN: palette.CIRCUIT, OTHER: palette.SAME}
    return _two_lines(rows, "overlap", "which", colours, tips, (0.0, top), last_step, width, height)


def causal_rows(checks: Sequence[CausalCheck]) -> pd.DataFrame:
    """constraint_type, type, step, what (circuit, random), drop, low, high, interval, p_before, n, n_features."""
    rows = []
    for one in sorted(checks, key=lambda one: one.step):
        told = {
            "constraint_type": one.constraint_type, "type": one.constraint_type.replace("_", " "), "step": one.step,
            "p_before": one.p_before, "n": one.n_prompts, "n_features": one.n_features,
        }  # fmt: skip
        for what, drop in ((CIRCUIT, one.drop), (RANDOM, one.random_drop)):
            interval = f"{drop.low:.2f} to {drop.high:.2f}"
            rows.append(
                told | {"what": what, "drop": drop.value, "low": drop.low, "high": drop.high, "interval": interval}
            )
    return pd.DataFrame(rows, columns=list(_CAUSAL_COLUMNS))


def causal_chart(rows: pd.DataFrame, *, last_step: int, width: int = 240, height: int = 130) -> alt.FacetChart:
    """What the right answer loses when a circuit is switched off, beside random features. `rows`: `causal_rows`."""
    low = min(0.0, float(rows["low"].min()) if len(rows) else 0.0)
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("what:N", title="switched off"),
        alt.Tooltip("drop:Q", title="p falls by", format=".2f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("p_before:Q", title="p before", format=".2f"),
        alt.Tooltip("n_features:Q", title="features switched off", format=".0f"),
        alt.Tooltip("n:Q", title="prompts", format="d"),
    ]
    colours = {CIRCUIT: palette.CIRCUIT, RANDOM: palette.SAME}
    return _two_lines(rows, "drop", "what", colours, tips, (low, 1.0), last_step, width, height)


def weights_chart(rows: pd.DataFrame, *, last_step: int, height: int = 130) -> alt.Chart:
    """How often each constraint type is sampled, over steps, stacked to 1. `rows`: of `change_tables.weight_rows`."""
    types = list(dict.fromkeys(rows["type"]))
    colours = [palette.GROUPS[(2 + place) % len(palette.GROUPS)] for place in range(len(types))]
    return (
        alt.Chart(rows)
        .mark_area(interpolate="step-after", opacity=0.75)
        .encode(
            x=_step_axis(last_step),
            y=alt.Y("share:Q", title="sampled", stack="zero", scale=alt.Scale(domain=[0, 1]), axis=_unit_axis()),
            color=alt.Color(
                "type:N", scale=alt.Scale(domain=types, range=colours),
                legend=alt.Legend(title=None, orient="right", symbolOpacity=1),
            ),
            tooltip=[
                alt.Tooltip("step:Q", format="d"), alt.Tooltip("type:N"), alt.Tooltip("share:Q", format=".0%"),
            ],
        )
        .properties(height=height)
    )  # fmt: skip


def _noise(base: alt.Chart, rows: pd.DataFrame) -> list[alt.Chart]:
    """The band of noise, from no change at all to its edge; named in the legend. None where no noise was measured."""
    if not rows["edge"].notna().any():
        return []
    legend = alt.Legend(title=None, orient="bottom", labelLimit=500, symbolType="square", symbolOpacity=0.35)
    fill = alt.Fill("noise:N", scale=alt.Scale(domain=[NOISE_TITLE], range=[palette.NOISE]), legend=legend)
    encoded = base.transform_calculate(noise=f"'{NOISE_TITLE}'", floor="0").encode(
        y=alt.Y("edge:Q", title="change"), y2="floor:Q", fill=fill
    )
    return [encoded.mark_area(opacity=0.28) if _several_steps(rows) else encoded.mark_bar(opacity=0.28, size=40)]


def _band(base: alt.Chart, rows: pd.DataFrame, low: str, high: str, colour: str) -> alt.Chart:
    """An interval over steps; of a single step a bar, where an area would have no width."""
    encoded = base.encode(y=alt.Y(f"{low}:Q"), y2=f"{high}:Q")
    if _several_steps(rows):
        return encoded.mark_area(opacity=0.2, color=colour)
    return encoded.mark_rule(opacity=0.6, strokeWidth=3, color=colour)


def _several_steps(rows: pd.DataFrame) -> bool:
    return rows["step"].nunique() > 1


def _said(channel: Any) -> Any:
    """Colour or shape by what is said; both channels make one legend."""
    values = _SAID_COLOUR if channel is alt.Color else _SAID_MARK
    scale = alt.Scale(domain=list(SAID_TITLES.values()), range=[values[said] for said in SAID_TITLES])
    return channel("said_title:N", scale=scale, legend=alt.Legend(title=None, orient="bottom", symbolSize=100))


def _marks(last_step: int) -> list[alt.Chart]:
    """A rule and its label a mark; the label stands where there is room, that of a rest that ended one line lower."""
    base = alt.Chart().transform_filter("isValid(datum.mark)").encode(x=alt.X("mark:Q"))
    drawn = []
    for lasting, colour, y in (("datum.lasting", palette.SATURATED, 3), ("!datum.lasting", palette.CURSOR, 19)):
        one = base.transform_filter(lasting)
        drawn.append(one.mark_rule(strokeWidth=1.5, strokeDash=[5, 3], color=colour))
        drawn += [
            one.transform_filter(f"datum.mark {where} {0.55 * last_step}")
            .mark_text(align=align, dx=dx, baseline="top", fontSize=12, fontWeight=600, color=colour)
            .encode(y=alt.value(y), text="mark_label:N")
            for where, align, dx in (("<=", "left", 5), (">", "right", -5))
        ]
    return drawn


def _two_lines(
    rows: pd.DataFrame, value: str, which: str, colours: Mapping[str, str], tips: list[alt.Tooltip],
    domain: tuple[float, float], last_step: int, width: int, height: int,
) -> alt.FacetChart:  # fmt: skip
    """Two lines a panel with intervals: what is asked about, and what it is held against."""
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=80)
    colour = alt.Color(f"{which}:N", scale=alt.Scale(domain=[*colours], range=[*colours.values()]), legend=legend)
    shape = alt.Shape(f"{which}:N", scale=alt.Scale(domain=[*colours], range=["circle", "square"]), legend=legend)
    base = alt.Chart().encode(x=_step_axis(last_step), color=colour)
    axis = alt.Axis(tickCount=4, format=".1f", titlePadding=6, labelPadding=4)
    y = alt.Y(f"{value}:Q", title=value, scale=alt.Scale(domain=[*domain]), axis=axis)
    band = base.encode(y=alt.Y("low:Q", title=value), y2="high:Q")
    layers = [
        band.mark_area(opacity=0.2) if _several_steps(rows) else band.mark_rule(opacity=0.6, strokeWidth=3),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=40).encode(y=y, shape=shape, tooltip=tips),
    ]
    return _facet(alt.layer(*layers, data=rows), width, height)


def _facet(chart: Any, width: int, height: int) -> alt.FacetChart:
    header = alt.Header(labelFontSize=13)
    return chart.properties(width=width, height=height).facet(
        column=alt.Column("type:N", title=None, header=header, sort=None)
    )


def _step_axis(last_step: int, *, field: str = "step") -> alt.X:
    """From 0 to the last step, as the probe curves."""
    axis = alt.Axis(grid=False, tickCount=6, format="d", titlePadding=4, labelPadding=4)
    return alt.X(f"{field}:Q", title="step", scale=alt.Scale(domain=[0, max(last_step, 1)], nice=False), axis=axis)


def _unit_axis() -> alt.Axis:
    return alt.Axis(values=[0, 0.5, 1], format=".1f", titlePadding=6, labelPadding=4)
