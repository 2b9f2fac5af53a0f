"""What was done here lately: runs with links, and jobs."""

import time

import streamlit as st

from engine.domain.methods import method_title
from engine.domain.numbers import count, duration, step_name
from pages._ui.errors import guarded
from pages._ui.session import jobs, store
from pages._ui.text import plain

MOST = 5


@guarded()
def unreadable() -> None:
    """What lies in the workspace and is in no list, because it is damaged; and what its drive does not allow."""
    if note := store().read_only or store().warning:
        st.warning(plain(note), icon=":material/warning:")
    for problem in store().unreadable():
        st.warning(plain(f"{problem.path} is left out: {problem.reason}."), icon=":material/warning:")


@guarded()
def recent() -> None:
    """The latest runs and jobs of this workspace."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Your runs")
        own = sorted((info for info in store().runs() if not info.bundled), key=lambda info: -info.created_at)
        if not own:
            st.caption("None yet. Run it live, or go to Train: each run appears here.")
        for info in own[:MOST]:
            at = step_name(info.steps[-1] if info.steps else 0)
            state = "finished" if info.finished else f"at {at} of {count(info.config.n_steps)}"
            method = method_title(info.config.method, imported=info.config.imported)
            st.page_link(
                "pages/train.py", label=plain(f"{info.config.name} · {method} · {state}"),
                icon=":material/model_training:", query_params={"run": info.config.name},
            )  # fmt: skip
    with right:
        st.subheader("Recent jobs")
        records = jobs().snapshot()[:MOST]
        if not records:
            st.caption("None yet. Training, tracing and corpus creation run in the background and appear here.")
        for record in records:
            ago = duration(time.time() - (record.finished_at or record.created_at))
            st.caption(plain(f"{record.title} · {record.told_state} {ago} ago"))
