"""What the Methods page shows: a table of means, charts against what a method costs, and the runs behind a figure."""

from typing import Final, NamedTuple

import pandas as pd
import streamlit as st

from engine.domain.studies import Study
from engine.figures.method_charts import Against, Judged, method_chart, method_means, method_name, method_table
from engine.figures.tables import to_csv
from engine.studies.comparison import equal_size
from pages._ui import url
from pages._ui.chart_export import take_away
from pages._ui.methods.run import open_run
from pages._ui.text import plain

JUDGED: Final[dict[Judged, str]] = {"accuracy": "Accuracy on the task", "retained": "What is retained"}


class _View(NamedTuple):
    title: str
    x: Against
    y: Judged
    alt: str


VIEWS: Final[dict[str, _View]] = {
    "parameters": _View("Against parameters", "n_trainable", "accuracy", "Accuracy by trainable parameters"),
    "time": _View("Against time", "train_s", "accuracy", "Accuracy by training time"),
    "retained": _View("Retained against accuracy", "accuracy", "retained", "What is retained, by accuracy"),
}
_READING = (
    "**Accuracy**: right answers to problems never trained on; of new words, the mean over phrasings never trained on "
    "and what follows from a word. **Retained**: right answers to what the model knew before. Each figure is a mean "
    "over seeds with its 95 % interval; in the charts pale dots are single runs, and methods of about equal size stand "
    "side by side."
)


def told_of_study(study: Study, rows: pd.DataFrame) -> None:
    """What was compared, in one sentence, and how to read it."""
    n_ways = rows[["method", "variant"]].fillna("").drop_duplicates().shape[0]
    search = study.spec.search
    at = (
        f"each at the best of {len(search.factors)} learning rates, searched alike for all on seeds of their own"
        if search
        else "at the learning rates that the study names"
    )
    st.markdown(
        f"**{len(rows)} fine-tunes** of a small language model: {n_ways} ways to train, "
        f"{rows['task'].nunique()} tasks, {rows['seed'].nunique()} seeds, {at}."
    )
    st.caption(_READING)


def told_of_own(rows: pd.DataFrame) -> None:
    st.markdown(
        f"**{len(rows)} finished run{'s' if len(rows) != 1 else ''}** of this workspace, by corpus. A mean needs three "
        "seeds of one method for an interval."
    )
    st.caption(_READING)


def comparison(page: str, rows: pd.DataFrame, study: Study | None) -> None:
    """Table, charts, and the runs behind what is picked."""
    means = method_means(rows)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        judged = _judged(page)
        shown = _sized(page, means)
    cell = _table(means[means["name"].isin(shown)], judged)
    run = _charts(page, rows)
    _runs(page, rows, cell, run, study)


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
        f"Only methods that train about {size:,.0f} parameters", key=key, on_change=write,
        help="The largest group of methods whose numbers of trainable parameters are within 5 % of each other.",
    )  # fmt: skip
    return equal if st.session_state[key] else every


def _table(means: pd.DataFrame, judged: Judged) -> tuple[str, str] | None:
    """Task × method; the (task, method) whose figure was picked."""
    table = method_table(means, judged=judged)
    parameters = {"task": "trainable parameters"} | {
        str(name): f"{part['n_trainable'].median():,.0f}" for name, part in means.groupby("name", sort=False)
    }
    picked = st.dataframe(
        pd.concat([table, pd.DataFrame([parameters])], ignore_index=True), hide_index=True, height="content",
        key=f"methods table {judged} {len(table.columns)}", on_select="rerun", selection_mode="single-cell",
    )  # fmt: skip
    cells = picked["selection"]["cells"]
    if not cells or cells[0][0] >= len(table) or cells[0][1] == "task":
        return None
    return str(table["task"].iloc[cells[0][0]]), str(cells[0][1])


def _charts(page: str, rows: pd.DataFrame) -> str | None:
    """One of the charts; the run whose dot was clicked."""
    key = f"{page} view"
    st.session_state[key] = url.allowed(page, "view", list(VIEWS), "parameters", "chart")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.segmented_control(
            "Chart", list(VIEWS), key=key, format_func=lambda name: VIEWS[name].title, required=True,
            label_visibility="collapsed", on_change=url.changed, args=(page, "view", key),
        )  # fmt: skip
        view = VIEWS[st.session_state[key]]
        known = rows.dropna(subset=[view.x, view.y])
        if known.empty:
            st.caption("None of these runs tells this.")
            return None
        n_columns = min(known["task"].nunique(), 4)
        width = (1180 - 60 * n_columns) // n_columns
        chart = method_chart(known, x=view.x, y=view.y, columns=n_columns, width=min(width, 420), height=210)
        take_away({f"methods-{st.session_state[key]}": chart}, key="take away methods")
    picked = st.altair_chart(
        chart, key=f"methods chart {st.session_state[key]}", on_select="rerun", width="content",
        alt=f"{view.alt}: a dot a run, a mark with its interval a method, a panel a task.",
    )  # fmt: skip
    points = picked.get("selection", {}).get("run", [])
    names = [point.get("run") for point in points if isinstance(point, dict)]
    return next((name for name in names if isinstance(name, str) and name in set(rows["run"])), None)


def _runs(
    page: str, rows: pd.DataFrame, cell: tuple[str, str] | None, clicked: str | None, study: Study | None
) -> None:
    """The runs behind the picked figure (else all), one of which is open."""
    rows = rows.assign(way=[method_name(m, v) for m, v in zip(rows["method"], rows["variant"].fillna(""), strict=True)])
    chosen = rows if cell is None else rows[(rows["task"] == cell[0]) & (rows["way"] == cell[1])]
    below_chart = st.container()  # where a click on a dot is answered: the table is further down
    what = "All runs" if cell is None else f"Runs of {cell[1]} on {cell[0]}"
    st.markdown(f"**{plain(what)}** · pick one to open it; a click on a figure above shows the runs behind it.")
    picked = st.dataframe(
        chosen, hide_index=True, height=min(38 + 35 * len(chosen), 248), key=f"methods runs {cell}",
        on_select="rerun", selection_mode="single-row",
        column_order=["run", "task", "way", "seed", "accuracy", "retained", "n_trainable", "n_moved", "n_steps",
                      "train_s", "peak_mb", "learning_rate"],
        column_config=_COLUMNS,
    )  # fmt: skip
    selected = picked["selection"]["rows"]
    row = str(chosen["run"].iloc[selected[0]]) if selected and selected[0] < len(chosen) else None
    st.download_button(
        "Download CSV", lambda: to_csv(rows.drop(columns="way")), file_name="methods.csv", mime="text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    if (now := row or clicked) is not None:
        url.write(page, run=now)
    name = now or url.read(page, "run")
    if name in set(rows["run"]):
        with st.container() if row else below_chart:
            open_run(rows[rows["run"] == name].iloc[0], study)


_NUMBER = st.column_config.NumberColumn
_COLUMNS: Final = {
    "way": st.column_config.TextColumn("method"),
    "seed": _NUMBER(format="%d"),
    "accuracy": _NUMBER(format="%.2f"),
    "retained": _NUMBER(format="%.2f"),
    "n_trainable": _NUMBER("trainable", format="localized", help="Parameters that may change."),
    "n_moved": _NUMBER("moved", format="localized", help="Parameters that differ from where they began."),
    "n_steps": _NUMBER("steps", format="%d"),
    "train_s": _NUMBER("seconds", format="%.1f", help="All of training, a probe run included."),
    "peak_mb": _NUMBER("peak MiB", format="%.0f", help="Most memory above what was in use when training began."),
    "learning_rate": _NUMBER("rate", format="%g"),
}
