"""Learning curves, losses and changes as Altair charts. Pure: data in, chart out; the page's theme gives the rest."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from engine.analysis.curves import mean_accuracy
from engine.domain.corpus import PROBE_KINDS
from engine.domain.runs import LossLog
from engine.figures import palette

DASHES: Final = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 4])  # of runs, in the order given
MOST_POINTS = 600  # of a loss curve: more is not seen, and slows the page
_SMOOTHING = 0.9  # as `smoothed_loss` in a checkpoint's state
_CURVE_TIPS = [
    alt.Tooltip("run:N"),
    alt.Tooltip("step:Q", format="d"),
    alt.Tooltip("constraint_type:N", title="type"),
    alt.Tooltip("probe_kind:N", title="probes"),
    alt.Tooltip("accuracy:Q", format=".2f"),
    alt.Tooltip("interval:N", title="95 % interval"),
    alt.Tooltip("n:Q", title="number of probes", format="d"),
    alt.Tooltip("mean_p:Q", title="p of the right token", format=".2f"),
    alt.Tooltip("mean_rank:Q", title="its rank", format=".1f"),
    alt.Tooltip("logit_diff:Q", title="logit difference", format=".2f"),
]


def curve_chart(
    scores_by_run: Mapping[str, pd.DataFrame],
    *,
    kinds: Sequence[str] = tuple(PROBE_KINDS),
    cursor: int | None = None,
    width: int = 420,
    height: int = 200,
) -> alt.FacetChart:
    """Accuracy over steps: a panel a constraint type, a line a probe kind with its Wilson band, a dash a run.

    `scores_by_run`: tables of `engine.analysis.curves.probe_scores`. `cursor`: a step to mark.
    `width`, `height`: of one panel, in pixels. The selection `checkpoint` (fields run, step) tells which point was
    clicked.
    """
    rows = _curve_rows(scores_by_run, kinds)
    clicked = alt.selection_point(name="checkpoint", fields=["run", "step"], on="click", empty=False)
    several = len(scores_by_run) > 1
    base = alt.Chart().encode(
        x=_step_axis(rows["step"]), color=_by_kind(alt.Color, palette.PROBE_KIND, rows["probe_kind"]), detail="run:N"
    )
    accuracy = _accuracy_axis("accuracy")
    dash = _run_dash(list(scores_by_run), orient="bottom") if several else alt.Undefined
    layers = [
        base.mark_area(opacity=0.07 if several else 0.14).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=accuracy, strokeDash=dash),
        base.mark_point(filled=True, size=46, opacity=1)
        .encode(
            y=accuracy,
            shape=_by_kind(alt.Shape, palette.PROBE_MARK, rows["probe_kind"]),
            size=alt.condition(clicked, alt.value(130), alt.value(46)),
            tooltip=_CURVE_TIPS,
        )
        .add_params(clicked),
    ]
    if cursor is not None:
        layers.append(_cursor(cursor))
    return (
        alt.layer(*layers, data=rows)
        .properties(width=width, height=height)
        .facet(column=alt.Column("type:N", title=None, header=alt.Header(labelFontSize=13), sort=None))
    )


def mini_curves(
    scores: pd.DataFrame,
    *,
    cursor: int | None = None,
    kinds: Sequence[str] = ("paraphrase", "inference"),
    height: int = 120,
) -> alt.LayerChart:
    """One run at a glance: the mean accuracy over constraint types, a line a probe kind, the cursor's step marked."""
    rows = mean_accuracy(scores, kinds)
    base = alt.Chart(rows).encode(
        x=_step_axis(rows["step"], title=None),
        y=_accuracy_axis(None),
        color=_by_kind(alt.Color, palette.PROBE_KIND, rows["probe_kind"], legend=None),
    )
    shape = _by_kind(alt.Shape, palette.PROBE_MARK, rows["probe_kind"], legend=None)
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("probe_kind:N", title="probes"),
        alt.Tooltip("accuracy:Q", format=".2f"),
    ]
    layers: list[alt.Chart] = [
        base.mark_line(strokeWidth=2),
        base.mark_point(filled=True, size=26, opacity=1).encode(shape=shape, tooltip=tips),
    ]
    if cursor is not None:
        layers.append(_cursor(cursor))
    return alt.layer(*layers).properties(height=height)


def loss_chart(
    losses_by_run: Mapping[str, LossLog],
    *,
    cursor: int | None = None,
    last_step: int | None = None,
    height: int = 130,
) -> alt.LayerChart:
    """Training loss of every step, thin, and its exponential mean, bold; a dash a run.

    `last_step`: where the axis ends, so that it lines up with curves of a run that is still training.
    """
    rows = pd.concat(
        [_loss_rows(run, losses) for run, losses in losses_by_run.items()] or [_loss_rows("", LossLog())],
        ignore_index=True,
    )
    steps = rows["step"] if last_step is None else pd.Series([*rows["step"], last_step])
    several = len(losses_by_run) > 1
    dash = _run_dash(list(losses_by_run), orient="top-right") if several else alt.Undefined
    base = alt.Chart(rows).encode(x=_step_axis(steps), strokeDash=dash, detail="run:N")
    y = {"title": "loss", "scale": alt.Scale(zero=False), "axis": alt.Axis(tickCount=3, titlePadding=6, labelPadding=4)}
    tips = [
        alt.Tooltip("run:N"),
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("loss:Q", format=".3f"),
        alt.Tooltip("smoothed:Q", title="smoothed", format=".3f"),
    ]
    layers: list[alt.Chart] = [
        base.mark_line(strokeWidth=1, opacity=0.3, color=palette.LOSS).encode(y=alt.Y("loss:Q", **y)),
        base.mark_line(strokeWidth=2, color=palette.LOSS).encode(y=alt.Y("smoothed:Q", **y)),
        base.mark_point(opacity=0, size=60).encode(y=alt.Y("smoothed:Q", **y), tooltip=tips),  # something to hover
    ]
    if cursor is not None:
        layers.append(_cursor(cursor))
    return alt.layer(*layers).properties(height=height)


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


def _loss_rows(run: str, losses: LossLog) -> pd.DataFrame:
    """run, step, loss, smoothed: at most MOST_POINTS rows, each the mean of the steps that it stands for."""
    rows = pd.DataFrame({"step": losses.step, "loss": losses.loss}, dtype=float)
    rows["smoothed"] = rows["loss"].ewm(alpha=1 - _SMOOTHING, adjust=False).mean()
    per_point = -(-len(rows) // MOST_POINTS)
    if per_point > 1:
        group = np.arange(len(rows)) // per_point
        rows = rows.groupby(group).agg({"step": "last", "loss": "mean", "smoothed": "last"})
    return rows.assign(run=run)


def _step_axis(steps: "pd.Series[Any]", *, title: str | None = "step") -> alt.X:
    """From 0 to the last step, so that charts above each other line up."""
    last = float(steps.max()) if len(steps) else 1.0
    scale = alt.Scale(domain=[0, max(last, 1.0)], nice=False)
    axis = alt.Axis(grid=False, tickCount=6, format="d", titlePadding=4, labelPadding=4)
    return alt.X("step:Q", title=title, scale=scale, axis=axis)


def _accuracy_axis(title: str | None) -> alt.Y:
    axis = alt.Axis(values=[0, 0.5, 1], format=".1f", titlePadding=6, labelPadding=4)
    return alt.Y("accuracy:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=axis)


def _by_kind(channel: Any, values: Mapping[str, str], kinds: "pd.Series[Any]", *, legend: Any = alt.Undefined) -> Any:
    """Colour or shape of the probe kinds that are there; both channels make one legend."""
    used = [kind for kind in PROBE_KINDS if kind in set(kinds)]
    shown = (
        alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=90) if legend is alt.Undefined else legend
    )
    return channel("probe_kind:N", scale=alt.Scale(domain=used, range=[values[kind] for kind in used]), legend=shown)


def _run_dash(runs: list[str], *, orient: str) -> alt.StrokeDash:
    dashes = [DASHES[place % len(DASHES)] for place in range(len(runs))]
    legend = alt.Legend(
        title=None,
        orient=orient,
        direction="horizontal",
        symbolType="stroke",
        symbolSize=500,
        symbolOpacity=1,
        symbolStrokeColor=palette.LOSS,
        offset=2,
    )
    return alt.StrokeDash("run:N", scale=alt.Scale(domain=runs, range=dashes), legend=legend)


def _cursor(step: int) -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"cursor": [step]}))
        .mark_rule(strokeDash=[4, 3], color=palette.CURSOR, strokeWidth=1.5)
        .encode(x="cursor:Q", tooltip=[alt.Tooltip("cursor:Q", title="step")])
    )
