"""Learning curves of one or several runs: the loss above, the probes below; a point opens its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from engine.analysis.losses import logged_words, suiting_smoothing
from engine.domain.corpus import PROBE_KINDS, ProbeKind
from engine.domain.errors import NotFound
from engine.domain.runs import LOSS_SMOOTHING, LossLog
from engine.figures.charts import MOST_BANDS, curve_chart, curve_panels, loss_chart, metric_panels, run_colors
from engine.figures.tables import to_csv
from engine.store import Store
from pages._ui import url
from pages._ui.cached import scores as run_scores
from pages._ui.chart_export import Figures, take_away
from pages._ui.charts import draw, kept_chart
from pages._ui.panels import draw_panels
from pages._ui.session import store
from pages._ui.text import plain, shorten, words

_LOSS_PX: Final = 270  # with its axis; what is drawn on is over 200
_LOSS_OF_ONE_PX: Final = 210  # so that the first screen shows what the probes say
_PANEL_PX: Final = 300
_METRIC_PX: Final = 170
_RUNS_OF_ALL_KINDS: Final = 3  # of more runs, two kinds at first: all would be a tangle
_KINDS_OF_MANY: Final[tuple[ProbeKind, ...]] = ("paraphrase", "inference")
_MOST_NAMED: Final = 90  # characters
_MOST_SMOOTHING: Final = 0.99


@dataclass(frozen=True)
class _Settings:
    """What is drawn of the runs, and how."""

    kinds: list[ProbeKind]
    types: list[str]
    smoothing: float
    log: bool


def scores_of(store: Store, runs: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Probe scores by run; a run whose corpus is gone says so and is left out."""
    scores = {}
    for run in runs:
        try:
            scores[run] = run_scores(store, run)
        except NotFound as error:
            st.warning(plain(f"{run}: {error}"), icon=":material/warning:")
    return scores


def colors_of(runs: Sequence[str]) -> dict[str, str]:
    """The color of each run, the same whatever else is chosen: the bundled runs come first, then the oldest."""
    infos = sorted(store().runs(), key=lambda info: (not info.bundled, 0 if info.bundled else info.created_at))
    bundled = sorted(info.name for info in infos if info.bundled)
    return run_colors(runs, [*bundled, *(info.name for info in infos if not info.bundled)])


def charts(page: str, scores: Mapping[str, pd.DataFrame], shown: Sequence[str]) -> None:
    """Settings, loss, curves by constraint type, and what a click on a point leads to; of the runs `shown`."""
    colors = colors_of(list(scores))
    drawn = {run: scores[run] for run in shown}
    losses = {run: store().losses(run) for run in drawn}
    settings, menu = _settings(page, drawn, losses)
    named = ", ".join(drawn)
    is_measured = not all(frame.empty for frame in drawn.values())
    height = _LOSS_OF_ONE_PX if len(drawn) == 1 and is_measured else _LOSS_PX
    loss = partial(
        loss_chart, losses, colors=colors, smoothing=settings.smoothing, log=settings.log, zoomable=True, height=height
    )
    highlighted: list[str] = []
    if any(log.step for log in losses.values()):
        picked = _loss(loss, f"Training loss of {named} over steps.", several=len(drawn) > 1, height=height)
        highlighted = [run for run in picked if run in drawn]
    if not is_measured:
        _logged(losses)
        _metrics(list(drawn), colors)
        if any(log.step for log in losses.values()):
            with menu:
                take_away({"loss": loss}, key="take away curves")
        return
    panels = partial(
        curve_panels, drawn, kinds=settings.kinds, types=settings.types, colors=colors, highlighted=highlighted,
        zoomable=True, height=_PANEL_PX,
    )  # fmt: skip
    points = draw_panels(
        panels, key="curves chart", height=_PANEL_PX, selection="checkpoint",
        alt_text=lambda name: f"Share of {words(name)} probes that {named} answer right, by probe kind and step.",
    )  # fmt: skip
    st.caption(_how_to(len(drawn), highlighted))
    _logged(losses)
    _folded_metrics(list(drawn), colors)
    chosen = {run: frame[frame["constraint_type"].isin(settings.types)] for run, frame in drawn.items()}
    curves = partial(
        curve_chart, chosen, kinds=settings.kinds, colors={run: colors[run] for run in chosen}, height=_PANEL_PX
    )
    figures: Figures = {"loss": loss, "learning-curves": curves}
    with menu:
        take_away(figures, key="take away curves")
    _open(clicked(points))


def _logged(losses: Mapping[str, LossLog]) -> None:
    """What the points of a trainer's own loss are."""
    if logged := [f"{run}, {told}" for run, log in losses.items() if (told := logged_words(log))]:
        st.caption(plain(f"Training loss as the trainer logged it: {'; '.join(logged)}."))


def _folded_metrics(runs: Sequence[str], colors: Mapping[str, str]) -> None:
    """Where probes were measured these are what one looks at; the trainer's own measures are a click away."""
    names = list(dict.fromkeys(name for run in runs for name in store().metrics(run).series))
    if names:
        label = plain(f"Also logged by the trainer: {shorten(', '.join(names), _MOST_NAMED)}")
        with st.expander(label, icon=":material/monitoring:", key="curves logged", on_change="rerun") as panel:
            if panel.open:
                _metrics(runs, colors)


def _metrics(runs: Sequence[str], colors: Mapping[str, str]) -> None:
    """What trainers elsewhere logged besides the loss, on the same axis of steps."""
    metrics = {run: logged for run in runs if (logged := store().metrics(run)).series}
    if metrics:
        draw_panels(
            partial(metric_panels, metrics, colors=colors, zoomable=True, height=_METRIC_PX),
            key="curves metrics", height=_METRIC_PX,
            alt_text=lambda name: f"{name} of {', '.join(metrics)} by step, as the trainer logged it.",
        )  # fmt: skip
        st.caption("What the trainer logged besides its loss, by its names for it.")


def _loss(make: "partial[Any]", alt_text: str, *, several: bool, height: int) -> list[str]:
    """The runs that are highlighted in its legend."""
    points = draw(
        kept_chart(make), key="curves loss of several" if several else "curves loss", height=height, alt=alt_text,
        selection="highlighted" if several else "",
    )  # fmt: skip
    return [run for point in points if isinstance(run := point.get("run"), str)]


def _how_to(n_runs: int, highlighted: Sequence[str]) -> str:
    bands = "Bands are 95% intervals (Wilson)."
    if n_runs > MOST_BANDS and not highlighted:
        bands = "Highlight a run to see its 95% intervals (Wilson)."
    legend = "Click a run in the legend to highlight it. " if n_runs > 1 else ""
    return (
        f"{legend}Drag to move, Ctrl + wheel to zoom, double-click to reset. Click a point to open its checkpoint in "
        f"Compare. {bands}"
    )


def _settings(
    page: str, scores: Mapping[str, pd.DataFrame], losses: Mapping[str, LossLog]
) -> "tuple[_Settings, st.delta_generator.DeltaGenerator]":
    """One row above the charts; and the place for the export menu at its end."""
    types = list(dict.fromkeys(name for frame in scores.values() for name in frame["constraint_type"]))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        most = list(PROBE_KINDS) if len(scores) <= _RUNS_OF_ALL_KINDS else _KINDS_OF_MANY
        kinds = _several(page, "kinds", "Probe kinds", list(PROBE_KINDS), most) if types else list(most)
        chosen = _several(page, "types", "Constraint types", types, types) if len(types) > 1 else types
        with st.container(width=190):
            smoothing = _smoothing(page, losses)
        log = _log_axis(page)
        menu = st.container(width="stretch", horizontal=True, horizontal_alignment="right")
    return _Settings([kind for kind in PROBE_KINDS if kind in kinds], chosen, smoothing, log), menu


def _several(page: str, name: str, label: str, options: Sequence[str], default: Sequence[str]) -> list[str]:
    """Which of `options` are drawn; the default, and no choice at all, stay out of the address."""
    key, usual = f"{page} {name}", ",".join(default)
    given = (url.read(page, name) or usual).split(",")
    st.session_state[key] = [option for option in options if option in given] or list(default)

    def write() -> None:
        chosen = ",".join(option for option in options if option in st.session_state[key])
        url.write_unless(page, name, chosen or usual, usual)

    st.pills(label, options, selection_mode="multi", key=key, on_change=write, format_func=words)
    return list(st.session_state[key])


def _smoothing(page: str, losses: Mapping[str, LossLog]) -> float:
    """What suits the run with the fewest losses, unless it is set."""
    key = f"{page} smoothing"
    suiting = min((suiting_smoothing(log) for log in losses.values() if log.step), default=LOSS_SMOOTHING)
    st.session_state[key] = float(url.number(page, "smoothing", 0.0, _MOST_SMOOTHING, suiting))

    def write() -> None:
        url.write_unless(page, "smoothing", f"{st.session_state[key]:g}", f"{suiting:g}")

    st.slider(
        "Smoothing of the loss", 0.0, _MOST_SMOOTHING, step=0.01, key=key, on_change=write,
        help=f"Exponential mean: 0 is the loss itself, as it is drawn where few losses were logged. Of runs that were "
        f"trained here, the table and the stopping rules use {LOSS_SMOOTHING:g}.",
    )  # fmt: skip
    return float(st.session_state[key])


def _log_axis(page: str) -> bool:
    key = f"{page} log"
    st.session_state[key] = url.allowed(page, "log", ("0", "1"), "0", "axis") == "1"

    def write() -> None:
        url.write_unless(page, "log", "1" if st.session_state[key] else "0", "0")

    st.toggle("Log loss", key=key, on_change=write, help="A logarithmic axis for the loss.")
    return bool(st.session_state[key])


def clicked(points: Sequence[Mapping[str, object]]) -> tuple[str, int] | None:
    """(run, step) of the point that was clicked; None where none was."""
    for point in points:
        run, step = point.get("run"), point.get("step")
        if isinstance(run, str) and isinstance(step, int | float):
            return run, int(step)
    return None


def _open(point: tuple[str, int] | None) -> None:
    """A clicked point opens its checkpoint in Compare, beside the base it came from."""
    checkpoint = next((c for c in store().checkpoints(point[0]) if c.step == point[1]), None) if point else None
    if checkpoint is not None:
        st.switch_page("pages/compare.py", query_params={"a": f"{checkpoint.run}@base", "b": checkpoint.ref})


def table(scores: Mapping[str, pd.DataFrame]) -> None:
    """The figures behind the curves, and their download."""
    rows = pd.concat([frame.assign(run=run) for run, frame in scores.items()], ignore_index=True)
    rows = rows[["run", *(column for column in rows.columns if column != "run")]]
    with st.expander("All probe scores as a table", icon=":material/table_rows:"):
        st.dataframe(
            rows.assign(constraint_type=rows["constraint_type"].map(words)), hide_index=True, height=260,
            column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("accuracy", "low", "high", "mean_p", "mean_rank", "logit_diff")
            },
        )  # fmt: skip
        st.download_button(
            "Download CSV", lambda: to_csv(rows), file_name="learning-curves.csv", mime="text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
