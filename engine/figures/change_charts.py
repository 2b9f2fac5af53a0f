"""How the circuits of a run changed, as Altair charts that line up with its learning curves. Pure.

Each comes in two forms: `…_panels`, a chart a constraint type, as wide as what it is put in; and `…_chart`, all of them
in one figure, to keep and to print.
"""

from collections.abc import Callable, Mapping, Sequence
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
from engine.figures.chart_theme import MARGIN, more_or_less, step_axis, themed

# Against the noise floor.
SAID_TITLES: Final[Mapping[str, str]] = {"change": "above it", "within": "not above it", "unclear": "unclear"}
NOISE_TITLE: Final = "noise floor"
OWN, OTHER = "what the word means", "other meanings"
CIRCUIT, RANDOM = "the circuit's features", "as many random features"
CHANGE_TITLE: Final = "circuit change"
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
    alt.Tooltip("change:Q", title=CHANGE_TITLE, format=".2f"),
    alt.Tooltip("interval:N", title="95% interval"),
    alt.Tooltip("edge:Q", title=NOISE_TITLE, format=".2f"),
    alt.Tooltip("said_title:N", title="against the floor"),
    alt.Tooltip("fit:Q", title="replacement score", format=".2f"),
    alt.Tooltip("n:Q", title="prompts", format="d"),
]


@dataclass(frozen=True)
class StepMark:
    """A vertical rule in the panel of one constraint type."""

    step: int
    label: str
    lasting: bool = True  # the others are gray: the circuit changed again


def change_rows(
    changes: pd.DataFrame,
    *,
    to: To,
    measure: Measure,
    run: str = "",
    marks: Mapping[str, Sequence[StepMark]] | None = None,
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
    """All panels of `change_panels` in one figure. `width`, `height`: of one panel, in pixels."""
    return _facet(_change_layers(rows, last_step, height), rows, width, height)


def change_panels(rows: pd.DataFrame, *, last_step: int, height: int = 230) -> dict[str, Any]:
    """By constraint type, circuit change over steps: its bootstrap band, and the noise floor filled from zero up.

    `rows`: of `change_rows`. `last_step`: where the axis ends, so that it lines up with the probe curves. The selection
    `change` (fields run, step, to_step) tells which point was clicked. A step whose replacement score is low has a
    small triangle at the bottom.
    """
    return _panels(lambda own: _change_layers(own, last_step, height), rows, height)


def _change_layers(rows: pd.DataFrame, last_step: int, height: int) -> alt.LayerChart:
    clicked = alt.selection_point(name="change", fields=["run", "step", "to_step"], on="click", empty=False)
    base = alt.Chart().encode(x=step_axis(last_step))
    y = alt.Y("change:Q", title=CHANGE_TITLE, scale=_unit_scale(), axis=_unit_axis())
    return alt.layer(
        *_noise(base, rows),
        _band(base, rows, "low", "high", palette.CIRCUIT),
        base.mark_line(strokeWidth=1.5, color=palette.CIRCUIT, opacity=0.7).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=95).encode(y=y, shape=_said(alt.Shape), color=_said(alt.Color)),
        base.transform_filter("datum.low_fit")
        .mark_point(filled=True, opacity=1, size=45, shape="triangle-up", color=palette.LOW_FIT)
        .encode(y=alt.YDatum(0, title=CHANGE_TITLE), tooltip=_CHANGE_TIPS),
        *_marks(last_step),
        # A ring has a hole: what is clicked and hovered is a disc over it that is not seen.
        base.mark_point(filled=True, opacity=0, size=220).encode(y=y, tooltip=_CHANGE_TIPS).add_params(clicked),
    )


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
    """All panels of `layer_panels` in one figure."""
    rows = _with_type(cells)
    return _facet(_layer_cells(rows, rows, last_step), rows, width, height)


def layer_panels(cells: pd.DataFrame, *, last_step: int, height: int = 170) -> dict[str, Any]:
    """By constraint type, a heat map, layers over steps: orange where influence moved in, blue where it left.

    `cells`: of `layer_changes`. All panels have one scale.
    """
    rows = _with_type(cells)
    return _panels(lambda own: _layer_cells(own, rows, last_step), rows, height)


def _layer_cells(own: pd.DataFrame, rows: pd.DataFrame, last_step: int) -> alt.Chart:
    deepest = sorted(own["layer"].unique(), reverse=True)
    axis = alt.Axis(titlePadding=6, labelPadding=4, ticks=False, minExtent=_AXIS_PX, labelOverlap=True)
    return (
        alt.Chart()
        .mark_rect()
        .encode(
            x=step_axis(last_step, field="left"),
            x2="right:Q",
            y=alt.Y("layer:O", title="layer", sort=deepest, axis=axis),
            color=more_or_less("change", rows["change"], title="change of the share of influence"),
            tooltip=[
                alt.Tooltip("step:Q", format="d"),
                alt.Tooltip("to_step:Q", title="compared with step", format="d"),
                alt.Tooltip("layer:O"),
                alt.Tooltip("share:Q", title="share of influence", format=".2f"),
                alt.Tooltip("change:Q", title="change of the share", format="+.3f"),
            ],
        )
    )


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


def overlap_chart(rows: pd.DataFrame, *, last_step: int, width: int = 420, height: int = 130) -> alt.FacetChart:
    """All panels of `overlap_panels` in one figure."""
    return _facet(_overlap_lines(rows, rows, last_step), rows, width, height)


def overlap_panels(rows: pd.DataFrame, *, last_step: int, height: int = 220) -> dict[str, Any]:
    """By constraint type, meaning overlap over steps: with the word's own meaning and with the others. `rows`: of
    `overlap_rows`."""
    return _panels(lambda own: _overlap_lines(own, rows, last_step), rows, height)


def _overlap_lines(own: pd.DataFrame, rows: pd.DataFrame, last_step: int) -> alt.LayerChart:
    top = max(0.3, float(rows[["overlap", "high"]].max().max()) if len(rows) else 0.0)
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("which:N", title="overlap with"),
        alt.Tooltip("overlap:Q", format=".2f"),
        alt.Tooltip("gap:Q", title="own minus other", format=".2f"),
        alt.Tooltip("interval:N", title="its 95% interval"),
        alt.Tooltip("n:Q", title="words × phrasings", format="d"),
    ]
    colors = {OWN: palette.CIRCUIT, OTHER: palette.SAME}
    return _two_lines(own, ("overlap", "meaning overlap"), "which", colors, tips, (0.0, top), last_step)


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


def causal_chart(rows: pd.DataFrame, *, last_step: int, width: int = 420, height: int = 130) -> alt.FacetChart:
    """All panels of `causal_panels` in one figure."""
    return _facet(_causal_lines(rows, rows, last_step), rows, width, height)


def causal_panels(rows: pd.DataFrame, *, last_step: int, height: int = 220) -> dict[str, Any]:
    """By constraint type, what the right answer loses when the circuit's features are switched off, beside as many
    random ones. `rows`: of `causal_rows`."""
    return _panels(lambda own: _causal_lines(own, rows, last_step), rows, height)


def _causal_lines(own: pd.DataFrame, rows: pd.DataFrame, last_step: int) -> alt.LayerChart:
    low = min(0.0, float(rows["low"].min()) if len(rows) else 0.0)
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("what:N", title="ablated"),
        alt.Tooltip("drop:Q", title="p falls by", format=".2f"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("p_before:Q", title="p before", format=".2f"),
        alt.Tooltip("n_features:Q", title="features ablated", format=".0f"),
        alt.Tooltip("n:Q", title="prompts", format="d"),
    ]
    colors = {CIRCUIT: palette.CIRCUIT, RANDOM: palette.SAME}
    return _two_lines(own, ("drop", "fall of the probability"), "what", colors, tips, (low, 1.0), last_step)


def weights_chart(rows: pd.DataFrame, *, last_step: int, height: int = 130) -> alt.Chart:
    """How often each constraint type is sampled, over steps, stacked to 1. `rows`: of `change_tables.weight_rows`."""
    types = list(dict.fromkeys(rows["type"]))
    colors = [palette.GROUPS[(2 + place) % len(palette.GROUPS)] for place in range(len(types))]
    return themed(
        alt.Chart(rows)
        .mark_area(interpolate="step-after", opacity=0.75)
        .encode(
            x=step_axis(last_step),
            y=alt.Y(
                "share:Q", title="share of examples", stack="zero", scale=alt.Scale(domain=[0, 1]), axis=_unit_axis()
            ),
            color=alt.Color(
                "type:N", scale=alt.Scale(domain=types, range=colors),
                legend=alt.Legend(title=None, orient="right", symbolOpacity=1),
            ),
            tooltip=[
                alt.Tooltip("step:Q", format="d"), alt.Tooltip("type:N"), alt.Tooltip("share:Q", format=".0%"),
            ],
        )
        .properties(height=height)
    )  # fmt: skip


def _noise(base: alt.Chart, rows: pd.DataFrame) -> list[alt.Chart]:
    """The noise floor, from no change at all up; named in the legend. Nothing where it was not measured."""
    if not rows["edge"].notna().any():
        return []
    legend = alt.Legend(title=None, orient="bottom", labelLimit=500, symbolType="square", symbolOpacity=0.35)
    fill = alt.Fill("noise:N", scale=alt.Scale(domain=[NOISE_TITLE], range=[palette.NOISE]), legend=legend)
    encoded = base.transform_calculate(noise=f"'{NOISE_TITLE}'", floor="0").encode(
        y=alt.Y("edge:Q", title=CHANGE_TITLE), y2="floor:Q", fill=fill
    )
    return [encoded.mark_area(opacity=0.28) if _several_steps(rows) else encoded.mark_bar(opacity=0.28, size=40)]


def _band(base: alt.Chart, rows: pd.DataFrame, low: str, high: str, color: str) -> alt.Chart:
    """An interval over steps; of a single step a bar, where an area would have no width."""
    encoded = base.encode(y=alt.Y(f"{low}:Q"), y2=f"{high}:Q")
    if _several_steps(rows):
        return encoded.mark_area(opacity=0.2, color=color)
    return encoded.mark_rule(opacity=0.6, strokeWidth=3, color=color)


def _several_steps(rows: pd.DataFrame) -> bool:
    return rows["step"].nunique() > 1


def _said(channel: Any) -> Any:
    """Colour or shape by what is said; both channels make one legend."""
    values = _SAID_COLOUR if channel is alt.Color else _SAID_MARK
    scale = alt.Scale(domain=list(SAID_TITLES.values()), range=[values[said] for said in SAID_TITLES])
    return channel(
        "said_title:N", scale=scale, legend=alt.Legend(title=None, orient="bottom", symbolSize=100, columns=2)
    )


def _marks(last_step: int) -> list[alt.Chart]:
    """A rule and its label a mark. The label stands where there is room; one that did not last, a line lower."""
    base = alt.Chart().transform_filter("isValid(datum.mark)").encode(x=alt.X("mark:Q"))
    drawn = []
    for lasting, color, y in (("datum.lasting", palette.SATURATED, 3), ("!datum.lasting", palette.CURSOR, 19)):
        one = base.transform_filter(lasting)
        drawn.append(one.mark_rule(strokeWidth=1.5, strokeDash=[5, 3], color=color))
        drawn += [
            one.transform_filter(f"datum.mark {where} {0.55 * last_step}")
            .mark_text(align=align, dx=dx, baseline="top", fontSize=12, fontWeight=600, color="currentColor")
            .encode(y=alt.value(y), text="mark_label:N")
            for where, align, dx in (("<=", "left", 5), (">", "right", -5))
        ]
    return drawn


def _two_lines(
    rows: pd.DataFrame, value: tuple[str, str], which: str, colors: Mapping[str, str], tips: list[alt.Tooltip],
    domain: tuple[float, float], last_step: int,
) -> alt.LayerChart:  # fmt: skip
    """Two lines with intervals: what is asked about, and what it is held against. `value`: column and axis title."""
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=80, columns=2)
    color = alt.Color(f"{which}:N", scale=alt.Scale(domain=[*colors], range=[*colors.values()]), legend=legend)
    shape = alt.Shape(f"{which}:N", scale=alt.Scale(domain=[*colors], range=["circle", "square"]), legend=legend)
    base = alt.Chart().encode(x=step_axis(last_step), color=color)
    axis = alt.Axis(tickCount=4, format=".1f", titlePadding=6, labelPadding=4)
    y = alt.Y(f"{value[0]}:Q", title=value[1], scale=alt.Scale(domain=[*domain]), axis=axis)
    band = base.encode(y=alt.Y("low:Q", title=value[1]), y2="high:Q")
    return alt.layer(
        band.mark_area(opacity=0.2) if _several_steps(rows) else band.mark_rule(opacity=0.6, strokeWidth=3),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=40).encode(y=y, shape=shape, tooltip=tips),
    )


def _with_type(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(type=rows["constraint_type"].astype(str).str.replace("_", " "))


def _facet(chart: Any, rows: pd.DataFrame, width: int, height: int) -> alt.FacetChart:
    facet = chart.properties(data=rows, width=width, height=height).facet(
        column=alt.Column("type:N", title=None, sort=None)
    )
    return themed(facet)


def _panels(make: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, height: int) -> dict[str, Any]:
    """By constraint type, in the order of the rows, what `make` draws of its own rows."""
    return {
        str(name): themed(make(own).properties(data=own, title=own["type"].iloc[0], height=height))
        for name, own in rows.groupby("constraint_type", sort=False)
    }


def _unit_scale() -> alt.Scale:
    return alt.Scale(domain=[-2 * MARGIN, 1 + 2 * MARGIN])


def _unit_axis() -> alt.Axis:
    return alt.Axis(values=[0, 0.5, 1], format=".1f", titlePadding=6, labelPadding=4)
