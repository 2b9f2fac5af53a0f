"""Whether the circuit of a task is the union of its subtasks' circuits: what was measured, and how to measure it."""

from functools import partial

import pandas as pd
import streamlit as st

from engine.domain.components import UnionReport
from engine.domain.errors import Damaged, NotFound
from engine.domain.jobs import SubtaskCircuit, UniteCircuits
from engine.domain.numbers import step_name
from engine.figures.component_charts import side_by_side, union_chart
from engine.figures.component_rows import published_union_rows, union_rows, with_values
from engine.figures.component_words import found_by
from engine.workflows.component_queries import FoundCircuits, reports_of
from pages._ui.chart_export import Figures
from pages._ui.charts import draw, kept_chart
from pages._ui.circuits.choice import CircuitChoice
from pages._ui.circuits.data import scores_of
from pages._ui.circuits.jobs import unites
from pages._ui.circuits.pairs import own_pairs_fit
from pages._ui.circuits.words import no_behavior
from pages._ui.errors import guarded
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.text import plain

_WHAT = (
    "A task can be composed of subtasks, such as (4 + 3) × 2 of a sum and a product. Is its circuit the union of "
    "theirs? Both circuits are cut to the same size; **faithfulness** is the share of the whole model’s behavior that "
    "each recovers."
)


@guarded()
def union(chosen: CircuitChoice, found: FoundCircuits, figures: Figures) -> None:
    """The newest stored report of this run, B's where there is one; below it the way to another."""
    reports = reports_of(store(), chosen.run, UnionReport)
    own = [report for report in reports if report.key.checkpoint == chosen.b.ref]
    report = next(iter([*own, *reports]), None)
    others = _other_runs(chosen.run)
    if report is None and len(others) < 2:
        return
    st.subheader("Is the circuit the union of its subtasks’ circuits?", anchor=False)
    if report is not None:
        _drawn(report, figures)
    st.caption(_WHAT)
    with st.expander("Unite circuits of subtasks", icon=":material/join:"):
        _form(chosen, found, others)


def _drawn(report: UnionReport, figures: Figures) -> None:
    parts = " and ".join(f"**{plain(part.checkpoint)}**" for part in report.parts)
    st.markdown(f"**{plain(report.key.checkpoint)}** on {plain(_pairs_of(report))}, the union of {parts}")
    own, lost = with_values(union_rows(report), "which")
    if lost:
        name = step_name(store().checkpoint(report.key.checkpoint).step)
        st.info(plain(no_behavior([name], _pairs_of(report))), icon=":material/info:")
        return
    rows = pd.concat([own, published_union_rows()], ignore_index=True)
    make = partial(union_chart, rows, height=300)
    told = f"{report.key.checkpoint}, on {_pairs_of(report)}"
    figures["union"] = lambda: side_by_side({"union": make()}).properties(title=told)
    draw(kept_chart(make), key="circuit union", alt="Faithfulness of united and direct circuits.")


def _pairs_of(report: UnionReport) -> str:
    """As `found_by`; without their number and the method where the scores are not stored any more."""
    try:
        return found_by(scores_of(store(), report.key))
    except (NotFound, Damaged):
        return f"the prompt pairs of “{report.key.pairs}”"


def _form(chosen: CircuitChoice, found: FoundCircuits, others: list[str]) -> None:
    runs = st.multiselect(
        "Runs of the subtasks", others, key="circuits subtasks", placeholder="At least two",
        help="Each run’s last checkpoint is used, on the corpus it was trained on.",
    )  # fmt: skip
    if len(runs) < 2:
        st.caption("Choose at least two runs that were trained on the subtasks. Their union is measured on B’s task.")
        return
    parts = tuple(SubtaskCircuit(checkpoint=store().checkpoints(run)[-1].ref) for run in runs)
    job_button(
        UniteCircuits(checkpoint=chosen.b.ref, pairs=found.pairs, parts=parts, settings=found.settings),
        covers=lambda request: unites(request, chosen.run), label="Unite and measure", key="unite circuits",
        primary=False, note=f"Measured at B, {step_name(chosen.b.step)}.",
    )  # fmt: skip


def _other_runs(run: str) -> list[str]:
    """Of the same model, with more than their base, whose own corpus has pairs that it reads."""
    infos = {info.config.name: info for info in store().runs() if info.steps}
    model = infos[run].config.model
    others = [name for name, one in infos.items() if name != run and one.config.model == model and len(one.steps) > 1]
    return [name for name in others if own_pairs_fit(store(), name)]
