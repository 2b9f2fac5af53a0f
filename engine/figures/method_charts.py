"""Methods of fine-tuning compared: by task, against parameters, time and what is retained. Pure.

`runs` has a row a run with the columns RUN_COLUMNS; what was not measured is NaN. Which runs are compared (one learning
rate, one size) is the caller's choice: everything of one task, method and variant is one mean.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from engine.analysis.means import student
from engine.domain.methods import METHOD_INFOS
from engine.domain.numbers import percent
from engine.figures import palette

RUN_COLUMNS: Final = (
    "run", "task", "method", "variant", "seed", "learning_rate", "accuracy", "retained", "n_trainable", "n_moved",
    "n_steps", "train_s", "peak_mb",
)  # fmt: skip
MEAN_COLUMNS: Final = (
    "task", "name", "method", "variant", "n", "accuracy", "accuracy_low", "accuracy_high", "retained", "retained_low",
    "retained_high", "n_trainable", "n_moved", "n_steps", "train_s", "peak_mb", "learning_rates", "runs",
)  # fmt: skip
Judged = Literal["accuracy", "retained"]
Against = Literal["n_trainable", "n_moved", "train_s", "peak_mb", "accuracy"]
_JUDGED: Final[dict[Judged, str]] = {"accuracy": "accuracy", "retained": "retained"}
_COUNTED: Final = ("n_trainable", "n_moved", "n_steps", "train_s", "peak_mb")
_BESIDE = 0.03  # of a log axis: methods of about equal size stand so far from each other
_ROOM = 0.05  # of accuracy, above and below what is drawn
_LEGEND = alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=90, labelLimit=300, columns=5)


class _Axis(NamedTuple):
    title: str
    format: str
    log: bool = False


_AXES: Final[dict[Against, _Axis]] = {
    "n_trainable": _Axis("trainable parameters", "~s", log=True),
    "n_moved": _Axis("changed parameters", "~s", log=True),
    "train_s": _Axis("training time, seconds", ",.2~f"),
    "peak_mb": _Axis("peak memory, MiB", ",.2~f"),
    "accuracy": _Axis(_JUDGED["accuracy"], ".0%"),
}


def method_means(runs: pd.DataFrame) -> pd.DataFrame:
    """MEAN_COLUMNS: a row a task, method and variant; tasks in the order given, methods as they are listed everywhere.

    accuracy and retained: means with Student's 95% interval, NaN with fewer than three runs. The counts are plain
    means. `name` is the method's title with its variant; learning_rates and runs are tuples, runs by seed.
    """
    tasks, rows = _in_order(runs["task"]), []
    runs = _with_names(runs).sort_values("seed", kind="stable")
    for (task, name), part in runs.groupby(["task", "name"], sort=False):
        figures = [figure for judged in _JUDGED for figure in student(part[judged].astype(float), bounds=(0, 1))]
        counts = [float(part[name].astype(float).mean()) for name in _COUNTED]
        rates = tuple(sorted(set(part["learning_rate"].dropna().tolist())))
        told = (task, name, part["method"].iloc[0], part["variant"].iloc[0], len(part))
        rows.append((*told, *figures, *counts, rates, tuple(part["run"])))
    means = pd.DataFrame(rows, columns=list(MEAN_COLUMNS))
    order = means["task"].map(tasks.index), means["method"].map(_method_place), means["variant"]
    by = pd.concat(order, axis=1).sort_values(["task", "method", "variant"], kind="stable").index
    return means.loc[by].reset_index(drop=True)


def method_table(means: pd.DataFrame, *, judged: Judged = "accuracy") -> pd.DataFrame:
    """A row a task, a column a method: `0.83 (0.79 to 0.87)`, the mean with its 95% interval; empty where not run.

    `means`: of `method_means`. The first column is `task`.
    """
    names = _series_names(means)
    cells = {
        (row["task"], row["name"]): _figure(row[judged], row[f"{judged}_low"], row[f"{judged}_high"])
        for row in means.to_dict("records")
    }
    tasks = _in_order(means["task"])
    table = {name: [cells.get((task, name), "") for task in tasks] for name in names}
    return pd.DataFrame({"task": tasks, **table})


def method_chart(
    runs: pd.DataFrame, *, x: Against, y: Judged = "accuracy", columns: int = 3, width: int = 300, height: int = 220
) -> alt.FacetChart:
    """A panel a task, in one picture to take away: pale dots are runs, full marks their mean with the 95% interval of
    `y`.

    Methods of equal size stand a little beside each other. `width`, `height`: of one panel, in pixels.
    """
    rows = method_chart_rows(runs, x=x, y=y)
    header = alt.Header(labelFontSize=13)
    panels = alt.Facet("panel:N", title=None, header=header, sort=_in_order(rows["panel"]) or None)
    layers = alt.layer(*_layers(rows, x, y, legend=_LEGEND), data=rows)
    return layers.properties(width=width, height=height).facet(facet=panels, columns=columns)


def method_panels(
    runs: pd.DataFrame, *, x: Against, y: Judged = "accuracy", height: int = 250
) -> dict[str, alt.LayerChart]:
    """The panels of `method_chart` by task, each as wide as its container, on the same scales and without a legend.

    The selection `run` (field run) tells which dot was clicked. `height`: of one panel, in pixels.
    """
    rows = method_chart_rows(runs, x=x, y=y)
    clicked = alt.selection_point(name="run", fields=["run"], on="click", empty=False)
    found = {}
    for task, panel in rows.groupby("task", sort=False):
        dots, interval, means = _layers(rows, x, y, legend=None)
        # Over the means, which would take the clicks on the dots below them.
        over = dots.mark_point(filled=True, opacity=0, size=80).add_params(clicked)
        title = alt.TitleParams(str(panel["panel"].iloc[0]), fontSize=13, fontWeight="normal", offset=4)
        chart: alt.LayerChart = alt.layer(dots, interval, means, over, data=panel)
        found[str(task)] = chart.properties(width="container", height=height, title=title)
    return found


def method_legend(runs: pd.DataFrame, *, x: Against, y: Judged = "accuracy", height: int = 44) -> alt.Chart:
    """The mark and color of each method of `method_panels`, as wide as its container; `height` in pixels."""
    rows = method_chart_rows(runs, x=x, y=y)
    names = _series_names(rows)
    axis = alt.Axis(orient="bottom", title=None, ticks=False, domain=False, labelAngle=0, labelFontSize=12,
                    labelLimit=150, labelOverlap=False, grid=False)  # fmt: skip
    return (
        alt.Chart(pd.DataFrame({"name": names}))
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=alt.X("name:N", sort=names, axis=axis),
            color=_by_name(alt.Color, names, _colours(rows), legend=None),
            shape=_by_name(alt.Shape, names, _marks(rows), legend=None),
        )
        .properties(width="container", height=height)
        .configure_view(stroke=None)
    )


def _layers(rows: pd.DataFrame, x: Against, y: Judged, *, legend: alt.Legend | None) -> list[alt.Chart]:
    """Runs, intervals, means; scales are those of all rows."""
    names = _series_names(rows)
    colour = _by_name(alt.Color, names, _colours(rows), legend=legend)
    shape = _by_name(alt.Shape, names, _marks(rows), legend=legend)
    tips = _tips(x, y)
    base = alt.Chart().encode(x=_x_axis(rows, x), color=colour)
    dots, means = (base.transform_filter(f"datum.kind == '{kind}'") for kind in ("run", "mean"))
    value, low = (_y_axis(rows, field, y) for field in ("value", "low"))
    return [
        dots.mark_point(filled=True, opacity=0.35, size=45).encode(y=value, shape=shape, tooltip=tips),
        means.mark_rule(strokeWidth=2.5, opacity=0.8).encode(y=low, y2="high:Q"),
        means.mark_point(filled=True, opacity=1, size=110).encode(y=value, shape=shape, tooltip=tips),
    ]


def method_chart_rows(runs: pd.DataFrame, *, x: Against, y: Judged) -> pd.DataFrame:
    """What `method_chart` draws: a row a run (kind `run`) and a row a mean (kind `mean`), with task, name, method,
    variant, value, low, high, interval, x, n, run, learning_rate, panel (the task in words), at (where x is drawn).

    What has no x or no value is left out.
    """
    means = method_means(runs)
    single = _with_names(runs).assign(
        kind="run", value=runs[y], low=float("nan"), high=float("nan"), x=runs[x].astype(float), n=1,
        learning_rate=[f"{rate:g}" for rate in runs["learning_rate"].astype(float)], interval="a single run",
    )  # fmt: skip
    averaged = means.assign(
        kind="mean", value=means[y], low=means[f"{y}_low"], high=means[f"{y}_high"], x=means[x].astype(float), run="",
        learning_rate=[", ".join(f"{rate:g}" for rate in rates) for rates in means["learning_rates"]],
        interval=[_interval(low, high) for low, high in zip(means[f"{y}_low"], means[f"{y}_high"], strict=True)],
    )  # fmt: skip
    columns = ["kind", "task", "name", "method", "variant", "value", "low", "high", "interval", "x", "n", "run",
               "learning_rate"]  # fmt: skip
    rows = pd.concat([averaged[columns], single[columns]], ignore_index=True).dropna(subset=["x", "value"])
    rows = rows.astype({"value": float, "low": float, "high": float}).assign(panel=rows["task"].str.replace("_", " "))
    if not _AXES[x].log:
        return rows.assign(at=rows["x"]).reset_index(drop=True)
    rows = rows[rows["x"] > 0]
    factors = _beside(rows[rows["kind"] == "mean"])
    at = [size * factors[task, name] for size, task, name in zip(rows["x"], rows["task"], rows["name"], strict=True)]
    return rows.assign(at=at).reset_index(drop=True)


def method_name(method: str, variant: str = "") -> str:
    """`CircuitLoRA`, `CircuitLoRA · union`; of a method that is not known its own name."""
    title = METHOD_INFOS[method].title if method in METHOD_INFOS else method
    return f"{title} · {variant}" if variant else title


def _beside(means: pd.DataFrame) -> dict[tuple[str, str], float]:
    """By task and name: what x is multiplied with, so that methods of about equal size do not hide each other."""
    factors: dict[tuple[str, str], float] = {}
    means = means.assign(log=np.log(means["x"])).sort_values("log", kind="stable")
    gap = max(0.02, _BESIDE * float(np.ptp(means["log"]))) if len(means) else 0.0
    for task, part in means.groupby("task", sort=False):
        first_of_group = part["log"].diff().fillna(np.inf) > gap
        for _, group in part.groupby(first_of_group.cumsum(), sort=False):
            places = group["log"].mean() + gap * (np.arange(len(group)) - (len(group) - 1) / 2)
            moved = np.exp(places - group["log"])
            factors |= {(str(task), name): float(factor) for name, factor in zip(group["name"], moved, strict=True)}
    return factors


def _with_names(runs: pd.DataFrame) -> pd.DataFrame:
    """With `name`; an empty variant that came out of a file as NaN is empty again."""
    variant = runs["variant"].fillna("").astype(str)
    names = [method_name(*key) for key in zip(runs["method"], variant, strict=True)]
    return runs.assign(variant=variant, name=names)


def _method_place(method: str) -> int:
    known = list(METHOD_INFOS)
    return known.index(method) if method in known else len(known)


def _series_names(rows: pd.DataFrame) -> list[str]:
    """Methods as they are listed everywhere, variants by name."""
    unique = rows[["name", "method", "variant"]].drop_duplicates()
    places = [_method_place(method) for method in unique["method"]]
    return unique.assign(place=places).sort_values(["place", "method", "variant"], kind="stable")["name"].tolist()


def _colours(rows: pd.DataFrame) -> list[str]:
    """One a method, the same in every chart; variants share it."""
    method = dict(zip(rows["name"], rows["method"], strict=True))
    return [palette.SERIES[_method_place(method[name]) % len(palette.SERIES)] for name in _series_names(rows)]


def _marks(rows: pd.DataFrame) -> list[str]:
    """One a method, the same in every chart; a further variant gets one that is free."""
    method = dict(zip(rows["name"], rows["method"], strict=True))
    own = {name: palette.SHAPES[place % len(palette.SHAPES)] for place, name in enumerate((*METHOD_INFOS, ""))}
    free = [mark for mark in palette.SHAPES if mark not in {own.get(one, own[""]) for one in method.values()}]
    seen: set[str] = set()
    marks = []
    for name in _series_names(rows):
        first = method[name] not in seen
        seen.add(method[name])
        marks.append(own.get(method[name], own[""]) if first or not free else free.pop(0))
    return marks


def _by_name(channel: Any, names: Sequence[str], values: Sequence[str], *, legend: alt.Legend | None) -> Any:
    return channel("name:N", scale=alt.Scale(domain=[*names], range=[*values]), legend=legend)


def _x_axis(rows: pd.DataFrame, x: Against) -> alt.X:
    axis = alt.Axis(grid=False, format=_AXES[x].format, tickCount=5, titlePadding=4, labelPadding=4)
    if _AXES[x].log:
        low, high = (float(rows["at"].min()), float(rows["at"].max())) if len(rows) else (1.0, 10.0)
        scale = alt.Scale(type="log", domain=[low / 1.3, high * 1.3], nice=False)
    else:
        scale = alt.Scale(zero=x != "accuracy", nice=True)
    return alt.X("at:Q", title=_AXES[x].title, scale=scale, axis=axis)


def _y_axis(rows: pd.DataFrame, field: str, y: Judged) -> alt.Y:
    """As far as what is drawn goes: methods may differ by a few percent."""
    drawn = pd.concat([rows[name] for name in ("value", "low", "high")]).dropna()
    low, high = (float(drawn.min()), float(drawn.max())) if len(drawn) else (0.0, 1.0)
    scale = alt.Scale(domain=[max(0.0, low - _ROOM), min(1.0, high + _ROOM)], nice=False)
    axis = alt.Axis(tickCount=5, format=".0%", titlePadding=6, labelPadding=4)
    return alt.Y(f"{field}:Q", title=_JUDGED[y], scale=scale, axis=axis)


def _tips(x: Against, y: Judged) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="method"),
        alt.Tooltip("run:N"),
        alt.Tooltip("value:Q", title=_JUDGED[y], format=".1%"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("n:Q", title="runs", format="d"),
        alt.Tooltip("x:Q", title=_AXES[x].title, format=",.0f" if _AXES[x].log else _AXES[x].format),
        alt.Tooltip("learning_rate:N", title="learning rate"),
    ]


def _figure(value: float, low: float, high: float) -> str:
    if pd.isna(value):
        return ""
    return percent(value) if pd.isna(low) else f"{percent(value)} ({percent(low)} to {percent(high)})"


def _interval(low: float, high: float) -> str:
    return "too few runs" if pd.isna(low) else f"{percent(low, 1)} to {percent(high, 1)}"


def _in_order(values: "pd.Series[Any]") -> list[str]:
    return list(dict.fromkeys(values))
