"""What the Methods page shows: a table of means, charts against what a method costs, and the runs behind a figure."""

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

import pandas as pd
import streamlit as st

from engine.domain.numbers import count, plural
from engine.domain.studies import Study
from engine.figures.method_charts import (
    Against,
    Judged,
    method_chart,
    method_legend,
    method_means,
    method_name,
    method_panels,
    method_table,
)
from engine.figures.tables import to_csv
from engine.studies.comparison import equal_size
from pages._ui import url
from pages._ui.chart_export import take_away
from pages._ui.charts import draw, kept_chart, kept_charts
from pages._ui.methods.run import open_run
from pages._ui.text import plain

JUDGED: Final[dict[Judged, str]] = {"accuracy": "Accuracy", "retained": "Retained"}


class _View(NamedTuple):
    title: str
    x: Against
    y: Judged
    alt: str


VIEWS: Final[dict[str, _View]] = {
    "parameters": _View("By parameters", "n_trainable", "accuracy", "Accuracy by trainable parameters"),
    "time": _View("By time", "train_s", "accuracy", "Accuracy by training time"),
    "retained": _View("Retained by accuracy", "accuracy", "retained", "What is retained, by accuracy"),
}
_PER_ROW = 4  # panels beside each other
_CHART_PX, _LEGEND_PX, _BELOW_CHART = 250, 44, 8
_READING = (
    "**Accuracy**: held-out problems answered right; for new words, the mean of paraphrase and inference. "
    "**Retained**: accuracy on what the model knew before. Means over seeds with 95% intervals, which hold for these "
    "problems only. Pale dots are single runs; methods of about equal size are drawn side by side."
)


def study_sentence(study: Study, rows: pd.DataFrame) -> None:
    """What was compared, and how to read it."""
    n_ways = rows[["method", "variant"]].fillna("").drop_duplicates().shape[0]
    search = study.spec.search
    at = (
        f"each at the best of {len(search.factors)} learning rates, searched on other seeds"
        if search
        else "at the learning rates that the study names"
    )
    st.markdown(
        f"**{len(rows)} fine-tunes** of a small language model: {plural(n_ways, 'method')}, "
        f"{plural(rows['task'].nunique(), 'task')}, {plural(rows['seed'].nunique(), 'seed')}, {at}."
    )
    st.caption(_READING)


def own_sentence(rows: pd.DataFrame) -> None:
    st.markdown(
        f"**{plural(len(rows), 'finished run')}** of this workspace, by corpus. An interval needs three seeds of one "
        "method."
    )
    st.caption(_READING)


def comparison(page: str, rows: pd.DataFrame, study: Study | None) -> None:
    """Table, charts, and the runs behind what is picked."""
    means = method_means(rows)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        judged = _judged(page)
        shown = _sized(page, means)
    cell = _table(means[means["name"].isin(shown)], judged)
    _charts(page, rows)
    _runs(page, rows, cell, study)


def _judged(page: str) -> Judged:
    key = f"{page} judged"
    st.session_state[key] = url.allowed(page, "judged", list(JUDGED), "accuracy", "figure")
    st.segmented_control(
        "Figure", list(JUDGED), key=key, format_func=lambda one: JUDGED[one], required=True,
        label_visibility="collapsed", on_change=url.changed, args=(page, "judged", key),
    )  # fmt: skip
    return "retained" if st.session_state[key] == "retained" else "accuracy"


def _sized(page: str, means: pd.DataFrame) -> list[str]:
    """Names of the methods in the table: those of equal size, or all."""
    equal, every = equal_size(means), list(dict.fromkeys(means["name"]))
    if len(equal) == len(every):
        return every
    key = f"{page} sized"
    st.session_state[key] = url.allowed(page, "size", ["equal", "all"], "equal", "choice") == "equal"

    def write() -> None:
        url.write_unless(page, "size", "equal" if st.session_state[key] else "all", "equal")

    size = means[means["name"].isin(equal)]["n_trainable"].median()
    st.toggle(
        f"Only methods that train about {count(round(float(size)))} parameters", key=key, on_change=write,
        help="The largest group of methods whose numbers of trainable parameters are within 5% of each other.",
    )  # fmt: skip
    return equal if st.session_state[key] else every


def _table(means: pd.DataFrame, judged: Judged) -> tuple[str, str] | None:
    """Task × method; the (task, method) whose figure was picked."""
    table = method_table(means, judged=judged)
    parameters = {"task": "trainable parameters"} | {
        str(name): count(round(float(part["n_trainable"].median()))) for name, part in means.groupby("name", sort=False)
    }
    picked = st.dataframe(
        pd.concat([table, pd.DataFrame([parameters])], ignore_index=True), hide_index=True, height="content",
        key=f"methods table {judged} {len(table.columns)}", on_select="rerun", selection_mode="single-cell",
    )  # fmt: skip
    cells = picked["selection"]["cells"]
    if not cells or cells[0][0] >= len(table) or cells[0][1] == "task":
        return None
    return str(table["task"].iloc[cells[0][0]]), str(cells[0][1])


def _charts(page: str, rows: pd.DataFrame) -> None:
    """A panel a task, four beside each other. The run whose dot is clicked goes into the address."""
    key = f"{page} view"
    st.session_state[key] = url.allowed(page, "view", list(VIEWS), "parameters", "chart")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.segmented_control(
            "Chart", list(VIEWS), key=key, format_func=lambda name: VIEWS[name].title, required=True,
            label_visibility="collapsed", on_change=url.changed, args=(page, "view", key),
        )  # fmt: skip
        name = str(st.session_state[key])
        view = VIEWS[name]
        known = rows.dropna(subset=[view.x, view.y])
        if known.empty:
            st.caption("These runs do not have this figure.")
            return
        take_away({f"methods-{name}": partial(method_chart, known, x=view.x, y=view.y)}, key="take away methods")
    panels = list(kept_charts(partial(method_panels, known, x=view.x, y=view.y, height=_CHART_PX)).items())
    for first in range(0, len(panels), _PER_ROW):
        columns = st.columns(min(len(panels), _PER_ROW))
        for column, (task, chart) in zip(columns, panels[first : first + _PER_ROW], strict=False):
            chart_key = f"methods chart {name} {task}"
            # Of the chart's own height from the start: what is below does not move when it is drawn.
            with column, st.container(height=_CHART_PX + _BELOW_CHART, border=False):
                st.vega_lite_chart(
                    chart, key=chart_key, on_select=lambda key=chart_key: _clicked(page, rows, key),
                    alt=f"{view.alt} on {task}: a dot a run, a mark with its interval a method.",
                )  # fmt: skip
    with st.container(height=_LEGEND_PX + _BELOW_CHART, border=False):
        legend = kept_chart(partial(method_legend, known, x=view.x, y=view.y, height=_LEGEND_PX))
        draw(legend, key=f"methods legend {name}", alt="The color and mark of each method.")


def _clicked(page: str, rows: pd.DataFrame, chart: str) -> None:
    """Of several charts only the one that was clicked last counts."""
    picked = st.session_state[chart]
    points = picked.get("selection", {}).get("run", []) if isinstance(picked, Mapping) else []
    names = [point.get("run") for point in points if isinstance(point, dict)]
    for name in names[:1]:
        if isinstance(name, str) and name in set(rows["run"]):
            url.write(page, run=name)
            st.session_state[f"{page} opened in table"] = False


def _runs(page: str, rows: pd.DataFrame, cell: tuple[str, str] | None, study: Study | None) -> None:
    """The runs behind the picked figure (else all), one of which is open."""
    rows = rows.assign(way=[method_name(m, v) for m, v in zip(rows["method"], rows["variant"].fillna(""), strict=True)])
    chosen = rows if cell is None else rows[(rows["task"] == cell[0]) & (rows["way"] == cell[1])]
    below_chart = st.container()  # where a click on a dot is answered: the table is further down
    what = "All runs" if cell is None else f"Runs of {cell[1]} on {cell[0]}"
    st.markdown(f"**{plain(what)}** · pick one to open it, or a figure in the table above to see the runs behind it.")
    table = f"methods runs {cell}"

    def pick() -> None:
        for row in st.session_state[table]["selection"]["rows"][:1]:
            if row < len(chosen):
                url.write(page, run=str(chosen["run"].iloc[row]))
                st.session_state[f"{page} opened in table"] = True

    st.dataframe(
        chosen, hide_index=True, height=min(38 + 35 * len(chosen), 248), key=table,
        on_select=pick, selection_mode="single-row",
        column_order=["run", "task", "way", "seed", "accuracy", "retained", "n_trainable", "n_moved", "n_steps",
                      "train_s", "peak_mb", "learning_rate"],
        column_config=_COLUMNS,
    )  # fmt: skip
    st.download_button(
        "Download CSV", lambda: to_csv(rows.drop(columns="way")), file_name="methods.csv", mime="text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    name = url.read(page, "run")
    if name in set(rows["run"]):
        with st.container() if st.session_state.get(f"{page} opened in table") else below_chart:
            open_run(rows[rows["run"] == name].iloc[0], study)


_NUMBER = st.column_config.NumberColumn
_COLUMNS: Final = {
    "way": st.column_config.TextColumn("method"),
    "seed": _NUMBER(format="%d"),
    "accuracy": _NUMBER(format="percent"),
    "retained": _NUMBER(format="percent"),
    "n_trainable": _NUMBER("trainable", format="localized", help="Parameters that training may change."),
    "n_moved": _NUMBER("changed", format="localized", help="Parameters that differ after training."),
    "n_steps": _NUMBER("steps", format="%d"),
    "train_s": _NUMBER("seconds", format="%.1f", help="All of training, a probe run included."),
    "peak_mb": _NUMBER("peak MiB", format="%.0f", help="Peak memory above what was in use when training began."),
    "learning_rate": _NUMBER("rate", format="%g"),
}
