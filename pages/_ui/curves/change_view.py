"""Circuit change of one run, below when and where it learned: what is compared, the curve, what follows from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import pandas as pd
import streamlit as st

from engine.analysis.saturation import rule_in_words
from engine.analysis.settling import Settling, settling
from engine.domain.corpus import PROBE_KINDS, ProbeKind
from engine.domain.decisions import DecisionSettings
from engine.domain.graphs import FIT_LIMIT
from engine.domain.measures import FLOOR_CAVEAT, MEASURE_TITLES, MEASURES, TO, Measure, To
from engine.figures.change_charts import (
    SAID_TITLES,
    change_chart,
    change_panels,
    change_rows,
    layer_changes,
    layer_chart,
    layer_panels,
)
from engine.figures.tables import to_csv
from pages._ui import url
from pages._ui.change_data import Seen, seen
from pages._ui.chart_export import Figures, take_away
from pages._ui.curves.analyse import offer_to_trace
from pages._ui.curves.meaning_view import meaning_view
from pages._ui.curves.stopping_view import stopping_table
from pages._ui.decision_fields import MEASURE_HELP, measures_help
from pages._ui.errors import guarded
from pages._ui.fields import number_field
from pages._ui.panels import draw_panels
from pages._ui.pickers import pick
from pages._ui.session import store
from pages._ui.settled_text import marks, settled_words
from pages._ui.text import plain, words

TO_TITLES: Final[dict[To, str]] = {"previous": "checkpoint before", "base": "base model", "last": "last checkpoint"}
_PICK_PX: Final = 150
_CHANGE_PX: Final = 250  # of a panel, its legend included
_LAYERS_PX: Final = 190
_WHAT: Final = (
    "A coarser look, which the stopping rule “when the circuits have settled” goes by; when an answer moved, and "
    "through what, the charts above tell better. Circuit change: how different each constraint type's mean circuit is "
    "from the one it is compared with. 0 is the same circuit, 1 has nothing in common with it. The gray band is the "
    "noise floor: how much circuits of one checkpoint differ between prompts."
)

_TO_HELP: Final = (
    "The checkpoint before shows when the circuit changes, the base model how far it has come, the last checkpoint how "
    "far it is from the end."
)


@dataclass(frozen=True)
class ChangeChoice:
    """What the section shows."""

    run: str
    to: To
    measure: Measure
    settings: DecisionSettings


def pick_run_and_kind(page: str, scores: Mapping[str, pd.DataFrame]) -> tuple[str, ProbeKind]:
    """Which of these runs the sections below are about, and on which of its probes."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=_PICK_PX):
            run = _pick_run(page, list(scores))
        with st.container(width=_PICK_PX):
            kind = _pick_kind(page, scores[run])
    return run, kind


@guarded()
def how_circuits_changed(page: str, run: str, kind: ProbeKind, *, last_step: int) -> None:
    """The section of one run. `last_step`: where the axis of the probe curves ends."""
    title, head = st.columns([9, 1], vertical_alignment="center")
    title.subheader("Circuit change", anchor=False)
    found = seen(store(), run, kind)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _pick_comparison(page, run, kind, found) if found is not None else None
    analyse = partial(offer_to_trace, run, kind, found)
    if found is None or chosen is None:
        analyse()
        return
    figures = _section(page, found, chosen, last_step, analyse)
    if found.series is not None:  # last, so that nothing moves when the offer goes
        analyse()
    if figures:
        with head:
            take_away(figures, key="take away changes")


def _section(
    page: str, found: Seen, chosen: ChangeChoice, last_step: int, analyse: Callable[[], None]
) -> Figures:  # fmt: skip
    """Gives its figures. `analyse` offers to trace what is missing; it is drawn in its place."""
    settled = settling(found.captures, chosen.settings)
    rows = change_rows(
        found.changes, to=chosen.to, measure=chosen.measure, run=chosen.run,
        marks={name: marks(one) for name, one in settled.items()},
    )  # fmt: skip
    for note in found.notes:
        st.caption(plain(note), width="stretch")
    if rows.empty:
        if found.series is None:  # one checkpoint was traced: there is nothing to compare it with
            analyse()
        return {}
    st.caption(_WHAT)
    st.info(FLOOR_CAVEAT, icon=":material/info:")
    _curve(rows, chosen, last_step)
    _settled_lines(settled, chosen.settings)
    stopping_table(page, found.captures, chosen.run, chosen.settings)
    cells = layer_changes(found.layers, to=chosen.to)
    _layers(cells, chosen, last_step)
    meaning = meaning_view(page, found, last_step=last_step, analyse=analyse)
    _figures(found.changes, chosen.run)
    return {
        "circuit-change": partial(change_chart, rows, last_step=last_step),
        "influence-by-layer": partial(layer_chart, cells, last_step=last_step),
        **meaning,
    }


def _curve(rows: pd.DataFrame, chosen: ChangeChoice, last_step: int) -> None:
    """The change curve, and what a click on a point leads to."""
    other = TO_TITLES[chosen.to]
    points = draw_panels(
        partial(change_panels, rows, last_step=last_step, height=_CHANGE_PX), key="curves change", height=_CHANGE_PX,
        selection="change",
        alt_text=lambda name: f"How much the {words(name)} circuit of {chosen.run} differs from the {other}, by step, "
        "and the noise floor.",
    )  # fmt: skip
    _open(clicked_pair(points))
    st.caption(_caption(rows, chosen))


def _layers(cells: pd.DataFrame, chosen: ChangeChoice, last_step: int) -> None:
    st.markdown(f"**Which layers the influence moved to, compared with the {TO_TITLES[chosen.to]}**")
    draw_panels(
        partial(layer_panels, cells, last_step=last_step, height=_LAYERS_PX), key="curves layers", height=_LAYERS_PX,
        alt_text=lambda name: f"{words(name).capitalize()}: change of each layer's influence in {chosen.run}, by step.",
    )  # fmt: skip


def _caption(rows: pd.DataFrame, chosen: ChangeChoice) -> str:
    caption = f"Measured: {MEASURE_HELP[chosen.measure]}. Click a point to open both checkpoints in Compare."
    if chosen.to != "previous":
        caption += " Whether a circuit has settled depends on its change since the checkpoint before."
    if rows["low_fit"].any():
        caption += (
            f" An orange triangle marks a replacement score below {FIT_LIMIT:g}: there the graphs explain too little "
            "of the model for the change to mean much."
        )
    return caption


def _settled_lines(settled: Mapping[str, Settling], settings: DecisionSettings) -> None:
    """One line a constraint type: whether its circuit has settled, and the figures behind that; then the rule."""
    for name, one in settled.items():
        badge, why = settled_words(one)
        st.markdown(f"**{plain(words(name))}** {badge} {plain(why)}")
    st.caption(plain(rule_in_words(settings)))


def clicked_pair(points: Sequence[Mapping[str, object]]) -> tuple[str, int, int] | None:
    """(run, earlier step, later step) of the change that was clicked; None where none was."""
    for point in points:
        run, step, to_step = point.get("run"), point.get("step"), point.get("to_step")
        if isinstance(run, str) and isinstance(step, int | float) and isinstance(to_step, int | float):
            return run, int(min(step, to_step)), int(max(step, to_step))
    return None


def _open(pair: tuple[str, int, int] | None) -> None:
    """Both checkpoints of a clicked change in Compare."""
    if pair is None:
        return
    refs = {checkpoint.step: checkpoint.ref for checkpoint in store().checkpoints(pair[0])}
    if pair[1] in refs and pair[2] in refs:
        st.switch_page("pages/compare.py", query_params={"a": refs[pair[1]], "b": refs[pair[2]]})


def _pick_run(page: str, runs: list[str]) -> str:
    return pick(page, "of", runs, label="Run", what="run", default=runs[0])


def _pick_kind(page: str, scores: pd.DataFrame) -> ProbeKind:
    """Of the probe kinds that the run was measured on."""
    kinds = [kind for kind in PROBE_KINDS if kind in set(scores["probe_kind"])]
    default = "paraphrase" if "paraphrase" in kinds else kinds[0]
    return pick(
        page, "on", kinds, label="Probes", what="probe kind", default=default,
        explain="\n".join(f"- **{kind}**: {PROBE_KINDS[kind].help}" for kind in kinds),
    )  # fmt: skip


def _pick_comparison(page: str, run: str, kind: ProbeKind, found: Seen) -> ChangeChoice:
    key, there = f"{page} to", [to for to in TO if to in set(found.changes["to"])] or list(TO)
    st.session_state[key] = url.allowed(page, "to", there, there[0], "comparison")
    st.segmented_control(
        "Compared with the", there, key=key, format_func=lambda to: TO_TITLES[to], required=True,
        on_change=url.changed, args=(page, "to", key), help=_TO_HELP,
    )  # fmt: skip
    to = st.session_state[key]
    measure = pick(
        page, "measure", MEASURES, label="Measure", what="measure", default=MEASURES[0],
        show=lambda measure: MEASURE_TITLES[cast(Measure, measure)], explain=measures_help(),
    )  # fmt: skip
    base = store().run(run).decisions
    patience = number_field(
        page, "patience", "Patience", 1, 20, base.patience,
        explain="How many checkpoints in a row need a change that is not above the noise floor, and probe scores that "
        "do not move, before a circuit counts as settled.",
    )  # fmt: skip
    fit = number_field(
        page, "fit", "Lowest replacement score", 0.0, 1.0, base.min_fit, step=0.05,
        explain="Below it the graphs explain too little of the model, and a circuit does not count as settled.",
    )  # fmt: skip
    settings = {"patience": patience, "min_fit": fit, "probe_kind": kind, "measure": measure}
    return ChangeChoice(run, to, cast(Measure, measure), base.model_copy(update=settings))


def readable(changes: pd.DataFrame) -> pd.DataFrame:
    """The rows of `RunChanges.changes` as they are shown."""
    titles = {
        "constraint_type": "constraint type", "to": "compared with", "to_step": "its step", "change": "circuit change",
        "edge": "noise floor", "said": "against the floor", "fit": "replacement score", "n": "prompts",
    }  # fmt: skip
    shown = changes.assign(
        constraint_type=changes["constraint_type"].map(words), to=changes["to"].map(TO_TITLES),
        measure=changes["measure"].map(MEASURE_TITLES), said=changes["said"].map(SAID_TITLES),
    )  # fmt: skip
    return shown.rename(columns=titles)


def _figures(changes: pd.DataFrame, run: str) -> None:
    """The figures behind the charts, and their download."""
    with st.expander("All circuit changes as a table", icon=":material/table_rows:"):
        columns = ("circuit change", "low", "high", "noise floor", "replacement score")
        st.dataframe(
            readable(changes), hide_index=True, height=260,
            column_config={name: st.column_config.NumberColumn(format="%.3f") for name in columns},
        )  # fmt: skip
        st.download_button(
            "Download the changes (CSV)", lambda: to_csv(changes.assign(run=run)),
            file_name=f"circuit-change-{run}.csv", mime="text/csv", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
