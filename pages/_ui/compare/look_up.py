"""What a feature stands for, in the inspector: found out at the first look, for all features that are shown."""

import streamlit as st

from engine.domain.diffs import GraphDiff
from engine.domain.jobs import DescribeFeatures, JobRecord
from engine.workflows.feature_queries import feature_facts
from pages._ui.compare.feature_facts import feature_view
from pages._ui.jobs_panel import wait_here
from pages._ui.session import again, jobs, store
from pages._ui.text import plain

Feature = tuple[int, int]  # layer, index
_FIRST_LOOK = "The first look reads some hundred texts; then every feature of these graphs opens at once."


def facts_here(diff: GraphDiff, feature: Feature, *, height: int) -> None:
    """A and B side by side; where one is not stored yet, it is looked up in the background."""
    a, b = (feature_facts(store(), graph.key, [feature]).get(feature) for graph in (diff.a, diff.b))
    if a is None or b is None:
        _look_up(diff, feature)
        if a is None and b is None:
            return
    feature_view(a, b, height=height)


def _look_up(diff: GraphDiff, feature: Feature) -> None:
    request = _request(diff, feature)
    job = next((job for job in jobs().snapshot() if _covers(job, request, feature)), None)
    if job is None:
        jobs().submit(request)
        again()
    elif job.state in ("queued", "running"):
        wait_here(job.id, note=_FIRST_LOOK)
    else:
        if job.state == "failed":
            st.error(plain(job.error), icon=":material/error:")
        elif job.state == "done":  # asking again by itself would never end
            st.caption("What was found belongs to other weights than these graphs. Trace the comparison again.")
        if st.button("Look it up", icon=":material/manage_search:", help="On which texts it is active in A and in B."):
            jobs().submit(request)
            again()


def _request(diff: GraphDiff, feature: Feature) -> DescribeFeatures:
    """Of all features in sight at once: the texts are read once for all of them."""
    rows = diff.nodes[diff.nodes["kind"] == "feature"]
    features = {*zip(rows["layer"].tolist(), rows["index"].tolist(), strict=True), feature}
    return DescribeFeatures(
        checkpoints=tuple(dict.fromkeys((diff.a.key.checkpoint, diff.b.key.checkpoint))),
        transcoders=diff.a.key.transcoders,
        features=tuple(sorted(features)),
    )


def _covers(job: JobRecord, wanted: DescribeFeatures, feature: Feature) -> bool:
    asked = job.request
    return (
        isinstance(asked, DescribeFeatures)
        and asked.transcoders == wanted.transcoders
        and set(wanted.checkpoints) <= set(asked.checkpoints)
        and feature in asked.features
    )
