"""Which jobs there are, how one is started, and which of them the page itself shows in this run."""

from collections.abc import Callable

import streamlit as st

from engine.domain.jobs import FINISHED, JobRecord, Request
from pages._ui.session import jobs

Covers = Callable[[Request], bool]  # whether a request is for the thing in question
STOPPED = ("failed", "interrupted")
_ON_PAGE = "jobs that the page itself shows"
_SEEN_ENDING = "jobs whose end was seen on a page"


def newest_job(covers: Covers) -> JobRecord | None:
    """The latest job for it, in whatever state."""
    return next((job for job in jobs().snapshot() if covers(job.request)), None)


def is_active(job: JobRecord | None) -> bool:
    return job is not None and job.state not in FINISHED


def start_job(request: Request, covers: Covers | None = None) -> str:
    """Submit it; it takes the place of those for the same thing that stopped early. The job's id."""
    same = covers or (lambda other: other == request)
    stopped = [job for job in jobs().snapshot() if job.state in STOPPED and same(job.request)]
    job_id = jobs().submit(request)
    for job in stopped:
        jobs().forget(job.id)
    return job_id


def new_page_run() -> None:
    """At the beginning of each run of the whole page, which then says again what it shows."""
    finished = {job.id for job in jobs().snapshot() if job.state in FINISHED}
    st.session_state[_SEEN_ENDING] = st.session_state.get(_SEEN_ENDING, set()) | (on_page() & finished)
    st.session_state[_ON_PAGE] = set()


def shown_on_page(job: JobRecord) -> None:
    """The page shows it: the top bar need not."""
    st.session_state.setdefault(_ON_PAGE, set()).add(job.id)


def on_page() -> set[str]:
    return set(st.session_state.get(_ON_PAGE, ()))


def seen_ending() -> set[str]:
    """Those that were on the page until they ended: their end is no news."""
    return set(st.session_state.get(_SEEN_ENDING, ()))
