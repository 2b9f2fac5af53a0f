"""Below the graphs: what the circuit does alone, how it changed over training, whether other prompts give the same one,
and whether a task’s circuit is the union of its subtasks’ circuits."""

from collections.abc import Callable
from functools import partial

import altair as alt
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.domain.components import ComponentKey, CurveReport, RobustnessReport
from engine.domain.jobs import CheckRobustness, FindCircuits
from engine.domain.numbers import count, decimal, duration, percent, plural, step_name
from engine.figures.change_charts import layer_changes
from engine.figures.component_charts import (
    Panels,
    faithfulness_charts,
    flip_charts,
    jaccard_charts,
    layer_change_charts,
    robustness_charts,
    side_by_side,
)
from engine.figures.component_rows import (
    SUBJECT_TITLES,
    curve_rows,
    flip_rows,
    jaccard_rows,
    layer_rows,
    robustness_rows,
    with_values,
)
from engine.figures.component_view import unlearned
from engine.figures.component_words import found_by, found_on, n_pairs_of
from engine.workflows.component_queries import ComponentChange, FoundCircuits, curve_of, feature_means, reports_of
from pages._ui.change_data import seen
from pages._ui.chart_export import Figures, take_away
from pages._ui.charts import draw, kept_charts
from pages._ui.circuits.choice import CircuitChoice
from pages._ui.circuits.data import change_of, features_of, keys_by_step, scores_of
from pages._ui.circuits.jobs import ROBUSTNESS_S, checks, finds
from pages._ui.circuits.union import union
from pages._ui.circuits.words import behavior, no_behavior, recovered
from pages._ui.errors import guarded
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.takes import on_this_model
from pages._ui.text import plain

_PX, _LOW_PX = 290, 230  # of charts with their title, axes and legend
_FAITHFULNESS = (
    "**Faithfulness**: the share of the whole model’s behavior that remains when every edge outside the circuit "
    "carries its value from the corrupted prompt. 1: all of it, 0: none. **Completeness**: the share that is lost "
    "when the circuit’s own edges carry those values instead."
)
_JACCARD = (
    "**Jaccard**: the share of nodes or edges in either of two consecutive circuits that is in both. 1: the same ones, "
    "however much their effects changed. Below: how many appeared and vanished. q, k and v of a head count as one edge."
)
_ROBUSTNESS = (
    "The circuit is found again on disjoint parts of the prompts and on prompts with words replaced. A high Jaccard "
    "(what both circuits share, over all that either has) means that it depends little on the prompts. The model with "
    "random weights shows what to expect by chance."
)


def measures(chosen: CircuitChoice, found: FoundCircuits, *, n_missing: int) -> None:
    """The sections of one run; an error in one is shown there. `n_missing`: checkpoints without a circuit yet."""
    figures: Figures = {}
    keys = keys_by_step(found)
    ours = {"A": keys[chosen.a.step], "B": keys[chosen.b.step]}
    _faithfulness(chosen, ours, figures)
    _over_training(chosen, found, figures, n_missing)
    _robustness(chosen, ours, figures)
    told = f"Found with {found_by(scores_of(store(), ours['B']))}"
    figures = {name: partial(_titled, make, told) for name, make in figures.items()}
    union(chosen, found, figures)
    if figures:
        take_away(figures, key="take away circuits")


def _titled(make: Callable[[], alt.TopLevelMixin], told: str) -> alt.TopLevelMixin:
    return make().properties(title=told)


@guarded()
def _faithfulness(chosen: CircuitChoice, ours: dict[str, ComponentKey], figures: Figures) -> None:
    st.subheader("What does the circuit do alone?", anchor=False)
    unique = {key.hash: key for key in ours.values()}
    curves = {digest: curve for digest, key in unique.items() if (curve := curve_of(store(), key)) is not None}
    if summary := _recovered(chosen, ours, curves):
        st.markdown(summary)
    if curves:
        names = {ours["A"].hash: step_name(chosen.a.step), ours["B"].hash: step_name(chosen.b.step)}
        rows, lost = with_values(curve_rows({names[digest]: curve for digest, curve in curves.items()}), "checkpoint")
        on = found_on(scores_of(store(), ours["B"]))
        if lost:
            st.info(plain(no_behavior(lost, on)), icon=":material/info:")
        if len(rows):
            charts = partial(faithfulness_charts, rows, height=_PX)
            _draw("faithfulness", charts, figures, _alt(chosen, "faithfulness by size"))
        st.caption(f"{_FAITHFULNESS} Bands: 95% intervals over {plain(on)}.")
    unmeasured = [key for digest, key in unique.items() if digest not in curves]
    if unmeasured:
        refs = tuple(key.checkpoint for key in unmeasured)
        with _room(reserved=not curves):
            job_button(
                FindCircuits(checkpoints=refs, pairs=unmeasured[0].pairs, settings=unmeasured[0].settings),
                covers=lambda request: finds(request, chosen.run), label="Measure faithfulness",
                key="measure faithfulness", primary=False, note=f"Not measured yet: {_names(chosen, refs)}.",
            )  # fmt: skip


def _recovered(chosen: CircuitChoice, ours: dict[str, ComponentKey], curves: dict[str, CurveReport]) -> str:
    """What circuits of about this size recover of the whole model's behavior. Where the right answer is not ahead,
    there is none to recover."""
    shares, told, size, idle = [], [], 0.0, []
    for side, key in ours.items():
        points = curves[key.hash].points if key.hash in curves else ()
        nearest = min(points, key=lambda point: abs(point.share - chosen.share), default=None)
        if nearest is None or nearest.faithfulness is None:
            continue
        if unlearned(scores_of(store(), key)):
            idle.append(side)
        else:
            shares.append(recovered(side, nearest.faithfulness))
            told.append(behavior(side, scores_of(store(), key)))
            size = nearest.share
    summary = ""
    if shares:
        summary = f"With {percent(size)} of the edges, {' and '.join(shares)} of the whole model’s behavior. "
        summary += " ".join(filter(None, told)) + " "
    if idle:
        summary += f"In {' and '.join(idle)} the right answer is not ahead, so there is little to recover."
    return summary.strip()


@guarded()
def _over_training(chosen: CircuitChoice, found: FoundCircuits, figures: Figures, n_missing: int) -> None:
    st.subheader("How did the circuit change over training?", anchor=False)
    if n_missing:
        of_all = f"{count(len(found.steps))} of {plural(len(found.steps) + n_missing, 'checkpoint')}"
        st.caption(f"Found at {of_all}. Find the others at the end of this page.")
    if len(found.steps) < 2:
        st.caption("The circuit has been found at one checkpoint only, so there is no change to show yet.")
        return
    change = change_of(store(), found, chosen.share, chosen.how)
    st.markdown(_flipped(change))
    last_step = max(found.steps)
    features = {steps: feature_means(rows) for steps, rows in features_of(store(), chosen.run).items()}
    rows = jaccard_rows(found.steps, change.flips, features=features)
    first, nodes, edges = change.circuits[0], *_sizes(change)
    assert first.n_edges
    likeness = partial(jaccard_charts, rows, last_step=last_step, height=_LOW_PX)
    _draw("circuit-likeness", likeness, figures, _alt(chosen, "what consecutive circuits share"))
    st.caption(_JACCARD + ("" if features else " The attribution graphs of this run have not been traced."))
    turnover = flip_rows(found.steps, change.flips, n_nodes=nodes, n_edges=edges)
    if turnover["n"].any():
        charts = partial(flip_charts, turnover, last_step=last_step, height=_LOW_PX)
        _draw("circuit-flips", charts, figures, _alt(chosen, "what appeared and vanished"))
    else:
        st.caption("Nothing appeared or vanished: the circuits of all checkpoints have the same edges.")
    _layers(chosen, change, found, figures)


def _layers(chosen: CircuitChoice, change: ComponentChange, found: FoundCircuits, figures: Figures) -> None:
    traced = seen(store(), chosen.run, "paraphrase")
    features = layer_changes(traced.layers, to="previous") if traced is not None and len(traced.layers) else None
    rows = layer_rows(found.steps, change.layers, features=features)
    st.markdown("**In which layers did the scores change?**")
    if not rows["change"].any():
        st.caption("No score changed between these checkpoints.")
        return
    charts = partial(layer_change_charts, rows, last_step=max(found.steps), height=_LOW_PX)
    _draw("layer-change", charts, figures, _alt(chosen, "change by layer"))
    beside = " Beside it: the change of each layer’s share of the features’ influence." if features is not None else ""
    st.caption(f"The sum of |change of score| over the edges out of each layer’s heads and MLP.{beside}")


def _sizes(change: ComponentChange) -> tuple[int, int]:
    from engine.analysis.components.pruning import collapsed, n_nodes

    first = change.circuits[0]
    return n_nodes(first), int(collapsed(first).sum())


def _flipped(change: ComponentChange) -> str:
    """What Δ_S says, in words and as the published figure."""
    edges, nodes = change.flips.delta_edges, change.flips.delta_nodes
    steps = change.found.steps
    if edges is None or nodes is None:
        return "The first circuit is empty, so the change has no size to compare with."
    return (
        f"From {step_name(steps[0])} to {step_name(steps[-1])}, over {plural(len(steps), 'checkpoint')}: edges that "
        f"appeared or vanished add up to **{decimal(edges, 1)} times** the first circuit’s edges (Δ_S of edges), heads "
        f"and MLPs to **{decimal(nodes, 1)} times** its heads and MLPs (Δ_S of nodes)."
    )


@guarded()
def _robustness(chosen: CircuitChoice, ours: dict[str, ComponentKey], figures: Figures) -> None:
    st.subheader("Would other prompts give the same circuit?", anchor=False)
    reports = reports_of(store(), chosen.run, RobustnessReport)
    mine = [report for report in reports if report.key.hash == ours["B"].hash]
    report = min(mine, key=lambda report: abs(report.share - chosen.share), default=None)
    if report is not None:
        st.markdown(f"B, {step_name(chosen.b.step)}: circuits of {percent(report.share)} of the edges")
        charts = partial(robustness_charts, robustness_rows(report), height=_PX)
        _draw("robustness", charts, figures, _alt(chosen, "robustness"))
        if report.missing:
            left = ", ".join(SUBJECT_TITLES[one] for one in report.missing)
            st.caption(f"Not measured yet, as the check was stopped before its end: {left}.")
    if too_few := _too_few(ours["B"]):
        st.info(too_few, icon=":material/info:")
    elif report is None or report.missing or abs(report.share - chosen.share) > 1e-9:
        with _room(reserved=report is None):
            _ask_for_robustness(chosen, ours["B"], first=report is None)
    st.caption(_ROBUSTNESS)


def _too_few(key: ComponentKey) -> str:
    """Of the pairs, to be parted."""
    n, n_parts = n_pairs_of(scores_of(store(), key)), key.settings.n_groups
    if n >= 2 * n_parts:
        return ""
    return (
        f"This cannot be checked on {plural(n, 'prompt pair')}: the pairs are parted into {n_parts}, and a part needs "
        f"two. Bring {2 * n_parts} pairs or more."
    )


def _ask_for_robustness(chosen: CircuitChoice, key: ComponentKey, *, first: bool) -> None:
    size = "" if first else f" at {percent(chosen.share)} of the edges"
    request = CheckRobustness(checkpoint=chosen.b.ref, pairs=key.pairs, settings=key.settings, share=chosen.share)
    takes = f"About {duration(ROBUSTNESS_S * n_pairs_of(scores_of(store(), key)) / 100)}"
    job_button(
        request, covers=lambda request: checks(request, chosen.b.ref), label=f"Check B’s circuit{size}",
        key="check robustness", primary=False,
        note=f"{on_this_model(store(), chosen.run, takes, request)}.",
    )  # fmt: skip


def _room(*, reserved: bool) -> DeltaGenerator:
    """Where a measure is asked for. `reserved`: as high as the charts to come, so that nothing below them moves."""
    if not reserved:
        return st.container()
    return st.container(height=_PX, border=True, vertical_alignment="center")


def _draw(name: str, make: "partial[Panels]", figures: Figures, alt_text: str) -> None:
    """The panels beside each other, each as wide as its part of the page; together they are one figure to export."""
    panels = kept_charts(make)
    if not panels:
        return
    figures[name] = lambda: side_by_side(make())
    for column, (title, chart) in zip(st.columns(len(panels), gap="medium"), panels.items(), strict=True):
        with column:
            draw(chart, key=f"circuits {name} {title}", alt=alt_text)


def _names(chosen: CircuitChoice, refs: tuple[str, ...]) -> str:
    """Of A or B, as `step 300`."""
    steps = {one.ref: one.step for one in (chosen.a, chosen.b)}
    return " and ".join(step_name(steps[ref]) for ref in refs)


def _alt(chosen: CircuitChoice, what: str) -> str:
    return f"Circuits of {chosen.run}: {what}."
