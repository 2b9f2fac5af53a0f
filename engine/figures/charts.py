"""Learning curves and losses as Altair charts. Pure: data in, chart out; the page's theme gives the rest."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from engine.analysis.curves import mean_accuracy, smoothed, telling_kinds
from engine.analysis.losses import is_of_every_step
from engine.domain.corpus import PROBE_KINDS
from engine.domain.runs import LOSS_SMOOTHING, LoggedMetrics, LossLog
from engine.figures import palette
from engine.figures.chart_theme import MARGIN, step_axis, themed
from engine.figures.names import visible

MOST_POINTS: Final = 600  # of a loss curve: more is not seen, and slows the page
_HOVERED: Final = 120  # points of a loss curve that answer to the mouse
_FEW: Final = 60  # logged losses that have a mark each
MOST_BANDS: Final = 2  # runs that are drawn with their intervals: more of them hide each other
_DIMMED: Final = 0.12  # of a run that is not highlighted
# The wheel alone scrolls the page. Double-click goes back.
_WHEEL: Final = "wheel![event.ctrlKey || event.metaKey]"
# A point beyond the part of the axes that is zoomed to.
_OUTSIDE: Final = "isDefined(zoom.step) && !(inrange(datum.step, zoom.step) && inrange(datum.accuracy, zoom.accuracy))"
_CURVE_TIPS = [
    alt.Tooltip("run:N"),
    alt.Tooltip("step:Q", format="d"),
    alt.Tooltip("constraint_type:N", title="type"),
    alt.Tooltip("probe_kind:N", title="probe kind"),
    alt.Tooltip("accuracy:Q", format=".0%"),
    alt.Tooltip("interval:N", title="95% interval"),
    alt.Tooltip("n:Q", title="probes", format="d"),
    alt.Tooltip("mean_p:Q", title="p of the right answer", format=".2f"),
    alt.Tooltip("mean_rank:Q", title="its rank", format=".1f"),
    alt.Tooltip("logit_diff:Q", title="logit difference", format=".2f"),
]


def run_colors(runs: Sequence[str], known: Sequence[str] = ()) -> dict[str, str]:
    """A color a run. `known`: all runs there are, oldest first; a run's place in it decides, so that it keeps its color
    whatever else is chosen. Where that color is taken (there are twelve), the next free one."""
    colors: dict[str, str] = {}
    places = {run: place for place, run in enumerate(dict.fromkeys([*known, *runs]))}
    n = len(palette.RUNS)
    for run in dict.fromkeys(runs):
        ordered = [palette.RUNS[(places[run] + step) % n] for step in range(n)]
        used = list(colors.values())
        colors[run] = min(ordered, key=used.count)  # beyond twelve runs, a color has two
    return colors


def curve_chart(
    scores_by_run: Mapping[str, pd.DataFrame],
    *,
    kinds: Sequence[str] = tuple(PROBE_KINDS),
    colors: Mapping[str, str] | None = None,
    width: int = 420,
    height: int = 200,
) -> alt.FacetChart:
    """All panels of `curve_panels` in one figure, with every legend: to keep and to print.

    `colors`: of the runs, else `run_colors`. `width`, `height`: of one panel, in pixels.
    """
    rows = _curve_rows(scores_by_run, kinds)
    colors = run_colors(list(scores_by_run)) if colors is None else colors
    layers = _curve_layers(rows, colors, run_legend=alt.Legend(title=None, orient="right", symbolOpacity=1))
    return themed(
        alt.layer(*layers, data=rows)
        .properties(width=width, height=height)
        .facet(column=alt.Column("type:N", title=None, sort=None))
    )


def curve_panels(
    scores_by_run: Mapping[str, pd.DataFrame],
    *,
    kinds: Sequence[str] = tuple(PROBE_KINDS),
    types: Sequence[str] | None = None,
    colors: Mapping[str, str] | None = None,
    highlighted: Sequence[str] = (),
    last_step: int | None = None,
    zoomable: bool = False,
    height: int = 200,
) -> dict[str, alt.LayerChart]:
    """By constraint type, accuracy over steps: color by run, marker and dash by probe kind; of one run, color by kind.

    `scores_by_run`: tables of `engine.analysis.curves.probe_scores`. `colors`: of the runs, else `run_colors`.
    `highlighted`: the other runs are dimmed. Wilson's 95% bands are drawn of up to `MOST_BANDS` runs, or of those that
    are highlighted. `last_step`: where the axis ends, of a run that is still training. The selection `checkpoint`
    (fields run, step) tells which point was clicked. The charts have the width of what they are put in.
    """
    rows = _curve_rows(scores_by_run, kinds)
    colors = run_colors(list(scores_by_run)) if colors is None else colors
    steps = rows["step"] if last_step is None else pd.Series([*rows["step"], last_step])
    panels = {}
    for name, own in rows.groupby("constraint_type", sort=False):
        if types is not None and name not in types:
            continue
        layers = _curve_layers(own, colors, highlighted=highlighted, steps=steps, clickable=True, zoomable=zoomable)
        panels[str(name)] = themed(alt.layer(*layers, data=own).properties(title=own["type"].iloc[0], height=height))
    return panels


def mini_curves(
    scores: pd.DataFrame,
    *,
    cursor: int | None = None,
    kinds: Sequence[str] | None = None,
    height: int = 120,
) -> alt.LayerChart:
    """One run at a glance: the mean accuracy over constraint types, a line a probe kind, the cursor's step marked.

    Without `kinds` those that tell most.
    """
    rows = mean_accuracy(scores, telling_kinds([scores]) if kinds is None else kinds)
    base = alt.Chart(rows).encode(
        x=_step_axis(rows["step"], title=None),
        y=_accuracy_axis(None),
        color=_by_kind(alt.Color, "color", rows["probe_kind"], legend=None),
    )
    shape = _by_kind(alt.Shape, "mark", rows["probe_kind"], legend=None)
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("probe_kind:N", title="probe kind"),
        alt.Tooltip("accuracy:Q", format=".0%"),
        alt.Tooltip("n:Q", title="probes", format="d"),
    ]
    layers: list[alt.Chart] = [
        base.mark_line(strokeWidth=2),
        base.mark_point(filled=True, size=26, opacity=1).encode(shape=shape, tooltip=tips),
    ]
    if cursor is not None:
        layers.append(_cursor(cursor))
    return themed(alt.layer(*layers).properties(height=height))


def loss_chart(
    losses_by_run: Mapping[str, LossLog],
    *,
    colors: Mapping[str, str] | None = None,
    smoothing: float = LOSS_SMOOTHING,
    log: bool = False,
    last_step: int | None = None,
    zoomable: bool = False,
    height: int = 130,
) -> alt.LayerChart:
    """Training loss as it was logged, faint, and its exponential mean, bold; of several runs a color each. Few losses,
    as trainers elsewhere log them, have a mark each.

    `smoothing`: of the mean, 0 (the loss itself) to below 1. `last_step`: where the axis ends, so that it lines up with
    curves of a run that is still training. The selection `highlighted` (field run) tells which runs were clicked in
    the legend; the others are dimmed.
    """
    rows = pd.concat(
        [_loss_rows(run, losses, smoothing) for run, losses in losses_by_run.items()] or [_loss_rows("", LossLog(), 0)],
        ignore_index=True,
    )
    if log:
        rows = rows[(rows["loss"] > 0) & (rows["smoothed"] > 0)]
    steps = rows["step"] if last_step is None else pd.Series([*rows["step"], last_step])
    base = alt.Chart(rows).encode(x=_step_axis(steps), detail="run:N")
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False)
    axis = alt.Axis(tickCount=5, titlePadding=6, labelPadding=4)
    y = {"title": "loss (log)" if log else "loss", "scale": scale, "axis": axis}
    faint, bold = alt.value(0.22), alt.value(1)
    extra: list[alt.Parameter] = []
    if len(losses_by_run) > 1:
        colors = run_colors(list(losses_by_run)) if colors is None else colors
        legend = _run_legend(len(losses_by_run))
        base = base.encode(color=_run_color(list(losses_by_run), colors, legend))
        chosen = alt.selection_point(name="highlighted", fields=["run"], bind="legend", toggle="true")
        faint, bold = alt.condition(chosen, faint, alt.value(0.04)), alt.condition(chosen, bold, alt.value(_DIMMED))
        extra.append(chosen)
    else:
        base = base.encode(color=alt.value(palette.LOSS))
    tips = [
        alt.Tooltip("run:N"),
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("loss:Q", format=".3f"),
        alt.Tooltip("smoothed:Q", title="smoothed loss", format=".3f"),
    ]
    mean = alt.Y("smoothed:Q", **y)
    layers: list[alt.Chart] = [
        base.mark_line(strokeWidth=1).encode(y=alt.Y("loss:Q", **y), opacity=faint),
        base.mark_line(strokeWidth=2).encode(y=mean, opacity=bold),
        base.transform_filter("datum.few")
        .mark_point(filled=True, size=24)
        .encode(y=alt.Y("loss:Q", **y), opacity=bold),
        base.transform_filter("datum.hovered").mark_point(opacity=0, size=60).encode(y=mean, tooltip=tips),
    ]
    if zoomable:
        extra.append(_zoom())
    layers[1] = layers[1].add_params(*extra)
    return themed(alt.layer(*layers).properties(height=height))


def metric_panels(
    metrics_by_run: Mapping[str, LoggedMetrics],
    *,
    colors: Mapping[str, str] | None = None,
    zoomable: bool = False,
    height: int = 130,
) -> dict[str, alt.LayerChart]:
    """What trainers logged besides the loss, a chart a measure by its name, of several runs a color each."""
    runs = list(metrics_by_run)
    colors = run_colors(runs) if colors is None else colors
    names = sorted({name for metrics in metrics_by_run.values() for name in metrics.series})
    return {name: _metric_chart(name, metrics_by_run, colors, zoomable=zoomable, height=height) for name in names}


def _metric_chart(
    name: str, metrics_by_run: Mapping[str, LoggedMetrics], colors: Mapping[str, str], *, zoomable: bool, height: int
) -> alt.LayerChart:
    found = {run: metrics.series[name] for run, metrics in metrics_by_run.items() if name in metrics.series}
    rows = pd.DataFrame(
        [(run, *point) for run, series in found.items() for point in zip(series.step, series.value, strict=True)],
        columns=["run", "step", "value"],
    )
    color = _run_color(list(found), colors, None) if len(metrics_by_run) > 1 else alt.value(palette.LOSS)
    base = alt.Chart(rows).encode(x=_step_axis(rows["step"]), color=color)
    y = alt.Y("value:Q", title=visible(name), scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    tips = [alt.Tooltip("run:N"), alt.Tooltip("step:Q", format="d"), alt.Tooltip("value:Q", format=".4g")]
    line = base.mark_line(strokeWidth=2).encode(y=y, detail="run:N")
    points = base.mark_point(filled=True, size=24, opacity=0.9).encode(y=y, tooltip=tips)
    return themed(alt.layer(line.add_params(*([_zoom()] if zoomable else [])), points).properties(height=height))


def _curve_layers(
    rows: pd.DataFrame,
    colors: Mapping[str, str],
    *,
    highlighted: Sequence[str] = (),
    steps: "pd.Series[Any] | None" = None,
    run_legend: Any = None,
    clickable: bool = False,
    zoomable: bool = False,
) -> list[alt.Chart]:
    """Bands, lines and points. `run_legend`: None where another chart has it. `steps`: of all panels, for the axis."""
    runs, kinds = list(dict.fromkeys(rows["run"])), rows["probe_kind"]
    several = len(colors) > 1
    shape = _by_kind(alt.Shape, "mark", kinds, color=palette.LOSS if several else None)
    dash = _by_kind(alt.StrokeDash, "dash", kinds, color=palette.LOSS)
    color = _run_color(runs, colors, run_legend) if several else _by_kind(alt.Color, "color", kinds)
    base = alt.Chart().encode(
        x=_step_axis(rows["step"] if steps is None else steps), color=color, detail=["run:N", "probe_kind:N"]
    )
    accuracy = _accuracy_axis("accuracy")
    seen = alt.FieldOneOfPredicate(field="run", oneOf=list(highlighted or runs))
    line = base.mark_line(strokeWidth=2).encode(
        y=accuracy, opacity=alt.condition(seen, alt.value(1), alt.value(_DIMMED)),
        strokeDash=dash if several else alt.Undefined,
    )  # fmt: skip
    opacity = alt.when(seen).then(alt.value(1)).otherwise(alt.value(_DIMMED))
    if zoomable:  # points that are cut to the plot (`clip`) do not get clicks: what is outside is hidden instead
        opacity = alt.when(_OUTSIDE).then(alt.value(0)).when(seen).then(alt.value(1)).otherwise(alt.value(_DIMMED))
    point = base.mark_point(filled=True, clip=False).encode(
        y=accuracy, shape=shape, opacity=opacity, tooltip=_CURVE_TIPS, size=alt.value(46)
    )
    if clickable:
        clicked = alt.selection_point(name="checkpoint", fields=["run", "step"], on="click", empty=False)
        point = point.encode(size=alt.condition(clicked, alt.value(130), alt.value(46))).add_params(clicked)
    if zoomable:
        line = line.add_params(_zoom())
    bands = list(highlighted) if highlighted else runs if len(runs) <= MOST_BANDS else []
    if not bands:
        return [line, point]
    band = base.mark_area(opacity=0.07 if len(bands) > 1 else 0.14)
    if len(bands) < len(runs):
        band = band.transform_filter(alt.FieldOneOfPredicate(field="run", oneOf=bands))
    return [band.encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"), line, point]


def _curve_rows(scores_by_run: Mapping[str, pd.DataFrame], kinds: Sequence[str]) -> pd.DataFrame:
    """All runs' rows with `run`, a readable `type` and the interval as text."""
    frames = [scores.assign(run=run) for run, scores in scores_by_run.items() if not scores.empty]
    if not frames:
        columns = "run step constraint_type type probe_kind n accuracy low high interval mean_p mean_rank logit_diff"
        return pd.DataFrame(columns=columns.split())
    rows = pd.concat(frames, ignore_index=True)
    rows = rows[rows["probe_kind"].isin(kinds)]
    return rows.assign(
        type=rows["constraint_type"].str.replace("_", " "),
        interval=[f"{low:.2f} to {high:.2f}" for low, high in zip(rows["low"], rows["high"], strict=True)],
    )


def _loss_rows(run: str, losses: LossLog, smoothing: float) -> pd.DataFrame:
    """run, step, loss, smoothed, hovered, few: at most MOST_POINTS rows, each the mean of those that it stands for."""
    rows = pd.DataFrame({"step": losses.step, "loss": losses.loss}, dtype=float)
    rows["smoothed"] = smoothed(losses.loss, smoothing)
    per_point = -(-len(rows) // MOST_POINTS)
    if per_point > 1:
        group = np.arange(len(rows)) // per_point
        rows = rows.groupby(group).agg({"step": "last", "loss": "mean", "smoothed": "last"})
    every = max(1, -(-len(rows) // _HOVERED))
    few = len(rows) <= _FEW and not is_of_every_step(losses)
    return rows.assign(run=run, hovered=np.arange(len(rows)) % every == 0, few=few)


def _zoom() -> alt.Parameter:
    """Drag to move, Ctrl and the wheel to zoom, double-click to go back."""
    return alt.selection_interval(name="zoom", bind="scales", zoom=_WHEEL, clear="dblclick")


def _step_axis(steps: "pd.Series[Any]", *, title: str | None = "step") -> alt.X:
    return step_axis(float(steps.max()) if len(steps) else 1.0, title=title)


def _accuracy_axis(title: str | None) -> alt.Y:
    axis = alt.Axis(tickCount=5, format="%", titlePadding=6, labelPadding=4)
    return alt.Y(
        "accuracy:Q", title=title, scale=alt.Scale(domain=[-2 * MARGIN, 1 + 2 * MARGIN], nice=False), axis=axis
    )


def _by_kind(
    channel: Any,
    hint: str,
    kinds: "pd.Series[Any]",
    *,
    legend: Any = alt.Undefined,
    color: str | None = None,
) -> Any:
    """Color, mark or dash (`hint`) of the probe kinds that are there; the channels make one legend, with marks of
    `color`."""
    used = [kind for kind in PROBE_KINDS if kind in set(kinds)]
    if legend is alt.Undefined:
        fill = {} if color is None else {"symbolFillColor": color, "symbolStrokeWidth": 0}
        legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=90, columns=2, **fill)
    scale = alt.Scale(domain=used, range=[getattr(PROBE_KINDS[kind], hint) for kind in used])
    return channel("probe_kind:N", scale=scale, legend=legend)


def _run_color(runs: Sequence[str], colors: Mapping[str, str], legend: Any) -> alt.Color:
    return alt.Color("run:N", scale=alt.Scale(domain=[*runs], range=[colors[run] for run in runs]), legend=legend)


def _run_legend(n: int) -> alt.Legend:
    """Beside the chart, every run; a click dims the others."""
    return alt.Legend(
        title=None, orient="right", symbolType="stroke", symbolSize=260, symbolStrokeWidth=3, symbolOpacity=1,
        symbolLimit=0, labelLimit=170, columns=1 if n <= 12 else 2, rowPadding=3,
    )  # fmt: skip


def _cursor(step: int) -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"cursor": [step]}))
        .mark_rule(strokeDash=[4, 3], color=palette.CURSOR, strokeWidth=1.5)
        .encode(x="cursor:Q", tooltip=[alt.Tooltip("cursor:Q", title="step")])
    )
