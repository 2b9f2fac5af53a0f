"""Below the graphs: whether the circuit does the work alone, how it changed over training, whether other data would
give the same one, and whether a task is the union of its parts."""

import altair as alt
import streamlit as st

from engine.domain.components import ComponentKey, CurveReport, RobustnessReport
from engine.domain.jobs import CheckRobustness, FindCircuits
from engine.figures.change_charts import layer_changes
from engine.figures.component_charts import (
    faithfulness_chart,
    flip_chart,
    jaccard_chart,
    layer_change_chart,
    robustness_chart,
)
from engine.figures.component_rows import curve_rows, flip_rows, jaccard_rows, layer_rows, robustness_rows
from engine.figures.component_view import unlearned
from engine.workflows.component_queries import ComponentChange, Found, curve_of, feature_means, reports_of
from pages._ui.chart_export import take_away
from pages._ui.circuits.choice import Chosen
from pages._ui.circuits.data import change_of, features_of, keys_by_step, scores_of
from pages._ui.circuits.jobs import ROBUSTNESS_S, checks, finds
from pages._ui.circuits.union import union
from pages._ui.curves.change_data import seen
from pages._ui.errors import guarded
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.text import duration, plain

Figures = dict[str, alt.TopLevelMixin]
_FAITHFULNESS = (
    "**Faithfulness**: every edge outside the circuit carries what the corrupted prompt puts there; how much of the "
    "right answer’s lead is left? At 1 the circuit does all that the whole model does, at 0 nothing of it. "
    "**Completeness**: the other way round, what is lost without the circuit. Bands are 95 % intervals over pairs."
)
_JACCARD = (
    "**Jaccard**: of all that either of two checkpoints in a row has in its circuit, the share that both have. At 1 "
    "nothing changed."
)
_ROBUSTNESS = (
    "The circuit is found again on five disjoint parts of the prompts, and on prompts with words replaced. Where the "
    "Jaccard (shared parts over all parts) stays high, the circuit is of the task, not of these prompts. A model with "
    "random weights shows what chance gives."
)


def measures(chosen: Chosen, found: Found) -> None:
    """The sections of one run; each that fails says so in its place."""
    figures: Figures = {}
    keys = keys_by_step(found)
    ours = {"A": keys[chosen.a.step], "B": keys[chosen.b.step]}
    _faithfulness(chosen, ours, figures)
    _over_training(chosen, found, figures)
    _robustness(chosen, ours, figures)
    union(chosen, found, figures)
    if figures:
        take_away(figures, key="take away circuits")


@guarded()
def _faithfulness(chosen: Chosen, ours: dict[str, ComponentKey], figures: Figures) -> None:
    st.subheader("Does the circuit do the work alone?", anchor=False)
    unique = {key.hash: key for key in ours.values()}
    curves = {digest: curve for digest, key in unique.items() if (curve := curve_of(store(), key)) is not None}
    if told := _kept(chosen, ours, curves):
        st.markdown(told)
    if curves:
        rows = curve_rows(list(curves.values()))
        figures["faithfulness"] = chart = faithfulness_chart(rows, width=530, height=190)
        st.altair_chart(chart, key="circuit faithfulness", width="content", alt=_alt(chosen, "faithfulness by size"))
        st.caption(_FAITHFULNESS)
    lacking = [key for digest, key in unique.items() if digest not in curves]
    if lacking:
        refs = tuple(key.checkpoint for key in lacking)
        job_button(
            FindCircuits(checkpoints=refs, pairs=lacking[0].pairs, settings=lacking[0].settings),
            covers=lambda request: finds(request, chosen.run), label="Measure faithfulness",
            key="measure faithfulness", primary=False, note=f"Not measured yet at {plain(' and '.join(refs))}.",
        )  # fmt: skip


def _kept(chosen: Chosen, ours: dict[str, ComponentKey], curves: dict[str, CurveReport]) -> str:
    """What the circuits of about this size do of the whole model's work. Where it does not answer right, there is none
    to be done."""
    told, share, idle = [], 0.0, []
    for side, key in ours.items():
        points = curves[key.hash].points if key.hash in curves else ()
        nearest = min(points, key=lambda point: abs(point.share - chosen.share), default=None)
        if nearest is None or nearest.faithfulness is None:
            continue
        if unlearned(scores_of(store(), key)):
            idle.append(side)
        else:
            told.append(f"{side}’s circuit does **{100 * nearest.faithfulness.value:.0f} %**")
            share = nearest.share
    kept = f"With {100 * share:g} % of the edges, {' and '.join(told)} of what the whole model does." if told else ""
    if not idle:
        return kept
    who = f"{' and '.join(idle)} {'do' if len(idle) > 1 else 'does'}"
    return f"{kept} {who} not prefer the right answers, so there is little that a circuit could keep."


@guarded()
def _over_training(chosen: Chosen, found: Found, figures: Figures) -> None:
    st.subheader("How the circuit changed over training", anchor=False)
    if len(found.steps) < 2:
        st.caption("The circuit was found at one checkpoint alone, so there is no change to show yet.")
        return
    change = change_of(store(), found, chosen.share, chosen.how)
    st.markdown(_flipped(change))
    last_step, width = max(found.steps), 530
    features = {steps: feature_means(rows) for steps, rows in features_of(store(), chosen.run).items()}
    rows = jaccard_rows(found.steps, change.flips, features=features)
    first, nodes, edges = change.circuits[0], *_sizes(change)
    assert first.n_edges
    figures["circuit-likeness"] = likeness = jaccard_chart(rows, last_step=last_step, width=width, height=130)
    st.altair_chart(likeness, key="circuit jaccard", width="content", alt=_alt(chosen, "what circuits in a row share"))
    st.caption(_JACCARD + ("" if features else " Feature graphs of this run have not been traced (Learning curves)."))
    flips = flip_rows(found.steps, change.flips, n_nodes=nodes, n_edges=edges)
    figures["circuit-flips"] = came = flip_chart(flips, last_step=last_step, width=width, height=130)
    st.altair_chart(came, key="circuit flips", width="content", alt=_alt(chosen, "what came and went"))
    _layers(chosen, change, found, figures)


def _layers(chosen: Chosen, change: ComponentChange, found: Found, figures: Figures) -> None:
    traced = seen(store(), chosen.run, "paraphrase")
    features = layer_changes(traced.layers, to="previous") if traced is not None and len(traced.layers) else None
    rows = layer_rows(found.steps, change.layers, features=features)
    n_panels = rows["what"].nunique()
    width = 1080 // n_panels - 20 * (n_panels > 1)
    figures["layer-change"] = chart = layer_change_chart(rows, last_step=max(found.steps), width=width, height=110)
    st.markdown("**Which layers the scores changed in**")
    st.altair_chart(chart, key="circuit layers", width="content", alt=_alt(chosen, "change by layer"))
    beside = " Beside it: how far each layer’s share of the features’ influence moved." if features is not None else ""
    st.caption(
        f"How much the scores of the edges that leave a layer’s heads and MLP moved between checkpoints.{beside}"
    )


def _sizes(change: ComponentChange) -> tuple[int, int]:
    from engine.analysis.components.pruning import collapsed, n_nodes

    first = change.circuits[0]
    return n_nodes(first), int(collapsed(first).sum())


def _flipped(change: ComponentChange) -> str:
    """What Δ_S says, in words and as the published figure."""
    edges, nodes = change.flips.delta_edges, change.flips.delta_nodes
    steps = change.found.steps
    if edges is None or nodes is None:
        return "The first circuit is empty, so change cannot be told in its size."
    n = len(steps) - 1
    return (
        f"From step {steps[0]} to step {steps[-1]}, in {n} step{'' if n == 1 else 's'}, edges came or went "
        f"**{edges:.2g} times** the size of the first circuit (Δ_S of edges), heads and MLPs **{nodes:.2g} times** "
        "(Δ_S of nodes)."
    )


@guarded()
def _robustness(chosen: Chosen, ours: dict[str, ComponentKey], figures: Figures) -> None:
    st.subheader("Would other data give the same circuit?", anchor=False)
    reports = reports_of(store(), chosen.run, RobustnessReport)
    mine = [report for report in reports if report.key.hash == ours["B"].hash]
    report = min(mine, key=lambda report: abs(report.share - chosen.share), default=None)
    if report is not None:
        chart = robustness_chart(robustness_rows(report), width=530, height=190)
        figures["robustness"] = chart
        st.markdown(f"B, {plain(report.key.checkpoint)}, circuits of {100 * report.share:g} % of the edges")
        st.altair_chart(chart, key="circuit robustness", width="content", alt=_alt(chosen, "robustness"))
    st.caption(_ROBUSTNESS)
    if report is not None and abs(report.share - chosen.share) < 1e-9:
        return
    key = ours["B"]
    again = f" at {100 * chosen.share:g} % of the edges" if report is not None else ""
    job_button(
        CheckRobustness(
            checkpoint=chosen.b.ref, pairs=key.pairs, settings=key.settings, share=chosen.share
        ),
        covers=lambda request: checks(request, chosen.b.ref), label=f"Check B’s circuit{again}",
        key="check robustness", primary=False,
        note=f"About {duration(ROBUSTNESS_S * key.settings.n_pairs / 100)} on the demo’s model.",
    )  # fmt: skip


def _alt(chosen: Chosen, what: str) -> str:
    return f"Circuits of {chosen.run}: {what}."
