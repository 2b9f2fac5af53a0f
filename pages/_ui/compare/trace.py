"""Compare's empty state: what is missing, what it will take, and the progress in its place."""

import streamlit as st

from engine.domain.jobs import Compare, JobRecord
from engine.store import Store
from pages._ui.compare.data import Selection
from pages._ui.errors import guarded
from pages._ui.jobs_panel import show_progress
from pages._ui.session import jobs, store
from pages._ui.text import plain


def trace_here(selection: Selection) -> None:
    """Offer to trace; while it is being traced, show how far it is."""
    newest = next((job for job in jobs().snapshot() if _is_for(job, selection)), None)
    if newest is not None and newest.state in ("queued", "running"):
        _wait(newest.id)
        return
    with st.container(border=True):
        st.subheader("Not traced yet")
        st.markdown(
            f"The circuits of **{plain(selection.a.ref)}** and **{plain(selection.b.ref)}** on "
            f"“{plain(selection.prompt)}” have not been drawn."
        )
        if newest is not None and newest.state == "failed":
            st.error(plain(newest.error), icon=":material/error:")
        st.caption(estimate(store(), selection))
        if st.button("Trace this comparison", type="primary", icon=":material/conversion_path:"):
            request = Compare(a=selection.a.ref, b=selection.b.ref, prompts=(selection.prompt,))
            jobs().submit(request)
            st.rerun()


def estimate(store: Store, selection: Selection) -> str:
    """What it takes: seconds where transcoders have seen both sides, more where they must learn first."""
    if store.transcoders_for([selection.a.ref, selection.b.ref]) is not None:
        return "It takes a few seconds on the demo's model."
    model = store.run(selection.a.run).model
    known = any(meta.model == model for meta in store.transcoder_sets())
    takes = "about twenty seconds" if known else "about a minute"
    return (
        f"No transcoders have seen both checkpoints, so a shared set is trained first: {takes} on the demo's model, "
        "and only once for these two runs."
    )


def _is_for(job: JobRecord, selection: Selection) -> bool:
    request = job.request
    return (
        isinstance(request, Compare)
        and (request.a, request.b) == (selection.a.ref, selection.b.ref)
        and selection.prompt in request.prompts
    )


@st.fragment(run_every=1.0)
@guarded()
def _wait(job_id: str) -> None:
    job = jobs().job(job_id)
    if job.state not in ("queued", "running"):
        st.rerun()
    with st.container(border=True):
        st.subheader("Tracing")
        show_progress(job)
        st.caption("You can leave this page; it goes on, and the comparison is kept.")
