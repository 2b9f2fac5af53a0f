"""What a feature stands for, in the inspector: found out at the first look, for all features that are shown."""

from functools import partial

import streamlit as st

from engine.domain.diffs import GraphDiff
from engine.domain.jobs import DescribeFeatures, Request
from engine.domain.numbers import plural
from engine.workflows.feature_queries import feature_facts
from engine.workflows.features import n_to_search
from pages._ui.compare.feature_facts import feature_view
from pages._ui.jobs.button import job_button
from pages._ui.jobs.state import newest_job
from pages._ui.session import store

Feature = tuple[int, int]  # layer, index
_AFTER = "After that, every feature of these graphs opens at once."


def facts_or_progress(diff: GraphDiff, feature: Feature, *, height: int) -> None:
    """A and B side by side; where one is not stored yet, it is looked up in the background."""
    a, b = (feature_facts(store(), graph.key, [feature]).get(feature) for graph in (diff.a, diff.b))
    if a is None or b is None:
        _look_up(diff, feature)
        if a is None and b is None:
            return
    feature_view(a, b, height=height)


def _look_up(diff: GraphDiff, feature: Feature) -> None:
    request = _request(diff, feature)
    covers = partial(_covers, wanted=request, feature=feature)
    job = newest_job(covers)
    if job is not None and job.state == "done":  # asking again by itself would never end
        st.caption("What was found belongs to other weights than these graphs. Trace the comparison again.")
    n = n_to_search(store(), request.checkpoints)
    note = f"The first time, {plural(n, 'text')} {'is' if n == 1 else 'are'} read. {_AFTER}"
    job_button(
        request, label="Look it up", key="look up", icon=":material/manage_search:", note=note, covers=covers,
        begin=True, primary=False,
    )  # fmt: skip


def _request(diff: GraphDiff, feature: Feature) -> DescribeFeatures:
    """Of all features in sight at once: the texts are read once for all of them."""
    rows = diff.nodes[diff.nodes["kind"] == "feature"]
    features = {*zip(rows["layer"].tolist(), rows["index"].tolist(), strict=True), feature}
    return DescribeFeatures(
        checkpoints=tuple(dict.fromkeys((diff.a.key.checkpoint, diff.b.key.checkpoint))),
        transcoders=diff.a.key.transcoders,
        features=tuple(sorted(features)),
    )


def _covers(request: Request, *, wanted: DescribeFeatures, feature: Feature) -> bool:
    return (
        isinstance(request, DescribeFeatures)
        and request.transcoders == wanted.transcoders
        and set(wanted.checkpoints) <= set(request.checkpoints)
        and feature in request.features
    )
