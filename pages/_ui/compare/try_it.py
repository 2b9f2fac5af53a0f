"""Try it: change features in both checkpoints and see what that does, beside what the graphs predict.

How far to trust a prediction is told from everything that was tried, not from the one outcome in sight.
"""

from functools import partial
from typing import Any

import streamlit as st
from pandas.io.formats.style import Styler

from engine.analysis.agreement import agreement, agreement_words, trust_words
from engine.demo.predicted import stated_agreement
from engine.domain.annotations import Annotations
from engine.domain.diffs import GraphDiff
from engine.domain.interventions import Intervention
from engine.domain.jobs import Intervene
from engine.domain.numbers import decimal, plural, signed
from engine.figures.effect_chart import effect_chart, effect_table
from engine.workflows.queries import stored_comparison, stored_interventions, tried
from pages._ui.charts import draw, kept_chart
from pages._ui.compare.labels import feature_of
from pages._ui.compare.selection import Selection
from pages._ui.graphs.linked_graphs import Marks
from pages._ui.jobs.button import job_button
from pages._ui.session import store

MOST = 200  # features that one request may change
_COLUMNS = {
    "output": st.column_config.TextColumn("output", width=70),
    "p before": st.column_config.NumberColumn("p before", width=60, help="Probability before the intervention."),
    "p after": st.column_config.NumberColumn("p after", width=60, help="Probability after it."),
    "logit change": st.column_config.NumberColumn("logit change", width=85, help="Measured: after minus before."),
}
_PREDICTED = st.column_config.NumberColumn("predicted", width=70, help="The logit change that the graph predicts.")
_CUT = st.column_config.NumberColumn(
    "predicted, cut",
    width=90,
    help="From the edges that were kept for storage alone: paths through others are missing.",
)


def try_it(diff: GraphDiff, selection: Selection, at: Marks, annotations: Annotations) -> None:
    """Which features, by how much; then the outputs of A and B before and after."""
    if selection.group:
        st.caption("A mean circuit cannot be run. Open one of its prompts to try it there.")
        return
    a, b = selection.a.ref, selection.b.ref
    if stored_comparison(store(), a, b, selection.prompt, diff.a.key.transcoders) is None:
        st.caption("To try it at this step, press “Compare these two” above.")
        return
    targets = _targets(diff, at, annotations)
    if not targets:
        st.caption("Only features can be changed.")
        return
    left, right = st.columns([3, 2], vertical_alignment="bottom", gap="small")
    what = left.selectbox(
        "Change", list(targets), key="try what", format_func=lambda name: f"{name} ({_several(targets[name])})"
    )
    factor = right.slider(
        "Multiply its activation by",
        0.0,
        3.0,
        0.0,
        0.25,
        key="try factor",
        help="0 switches it off (ablation), 1 leaves it as it is.",
    )
    features = tuple(sorted(targets[what]))[:MOST]
    found = stored_interventions(store(), (diff.a, diff.b), features, factor)
    if all(found):
        _outcome(found)
        _trust(diff)
    if not all(one and one.uncut for one in found):
        _run(diff, selection, features, factor, again=all(found))


def _targets(diff: GraphDiff, at: Marks, annotations: Annotations) -> dict[str, list[str]]:
    """What can be changed together: the selected node, its feature everywhere, the pinned ones, each group of it."""
    nodes = diff.nodes[diff.nodes["kind"] == "feature"]["id"].tolist()
    graph_nodes = [node for graph in (diff.a, diff.b) for node in graph.node_ids() if node.startswith("feature/")]
    nodes = list(dict.fromkeys([*nodes, *graph_nodes]))
    targets: dict[str, list[str]] = {}
    selected = at.selected or ""
    feature = feature_of(selected)
    if feature and selected in nodes:
        targets["this node"] = [selected]
        same = [node for node in nodes if feature_of(node) == feature]
        if len(same) > 1:
            targets["this feature at every token"] = same
    if pinned := [node for node in at.pins if node in nodes]:
        targets["the pinned nodes"] = list(dict.fromkeys([*pinned, *targets.get("this node", [])]))
    for group in annotations.supernodes:
        members = [node for node in nodes if feature_of(node) in group.features]
        chosen = feature in group.features or selected.startswith("supernode/")
        if members and chosen:
            targets[f"the group “{group.name}”"] = members
    return targets


def _several(nodes: list[str]) -> str:
    return plural(min(len(nodes), MOST), "node")


def _run(diff: GraphDiff, selection: Selection, features: tuple[str, ...], factor: float, *, again: bool) -> None:
    """`again`: it was measured, but predicted from edges that were cut for storage."""
    request = Intervene(
        a=selection.a.ref, b=selection.b.ref, prompt=selection.prompt, transcoders=diff.a.key.transcoders,
        features=features, factor=factor,
    )  # fmt: skip
    job_button(
        request,
        label="Predict from all edges" if again else f"{'Ablate' if factor == 0 else 'Scale'} in A and B",
        icon=":material/science:", key="try run",
        note="Runs both checkpoints again with the change; everything after it is free to react.",
    )  # fmt: skip


def _outcome(found: tuple[Intervention | None, Intervention | None]) -> None:
    for column, (name, one) in zip(st.columns(2, gap="medium"), zip("AB", found, strict=True), strict=True):
        assert one is not None
        with column:
            if not one.changed:
                st.markdown(f"**{name}**: not active here, so nothing changes.")
                continue
            st.markdown(f"**{name}**: outputs before and after")
            chart = kept_chart(partial(effect_chart, one))
            draw(chart, key=f"effect {name}", alt=f"Probabilities of {name}'s outputs before and after.")
            st.dataframe(
                written_effects(one), hide_index=True, row_height=27, height="content", key=f"effect table {name}",
                column_config=_COLUMNS | {"predicted": _PREDICTED if one.uncut else _CUT},
            )  # fmt: skip
    st.caption(
        "Bars: probability before (pale) and after. Logit change: measured, and as the graph predicts it with norms, "
        "attention and the set of active features held. They differ because all of these react, and MLPs with them."
    )


def _trust(diff: GraphDiff) -> None:
    """How good predictions were in all that was tried on this prompt, and on the bundled runs."""
    if found := agreement(tried(store(), (diff.a, diff.b))):
        st.caption(f"**All that was tried on this prompt**: {agreement_words(found)} {trust_words(found)}")
    if stated := stated_agreement(store()):
        st.caption(f"**On the bundled runs**: {agreement_words(stated)} {trust_words(stated)}")


def written_effects(one: Intervention) -> Styler:
    """`effect_table` with its numbers as they are written everywhere."""
    formats: dict[Any, Any] = {"p before": decimal, "p after": decimal, "logit change": signed, "predicted": signed}
    return effect_table(one).style.format(formats)
