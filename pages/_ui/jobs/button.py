"""The one way to ask for a job: a button that becomes its progress, and its reason where it failed."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import streamlit as st

from engine.domain.jobs import JobRecord, Request
from pages._ui.errors import guarded
from pages._ui.jobs.progress import progress_row, why_it_stopped
from pages._ui.jobs.state import STOPPED, Covers, is_active, newest_job, shown_on_page, start_job
from pages._ui.session import again, jobs
from pages._ui.text import message


@dataclass(frozen=True)
class _Button:
    """What `job_button` was called with."""

    request: Request
    label: str
    key: str
    note: str
    icon: str
    primary: bool
    covers: Covers
    changes: Callable[[], Hashable]
    below: Callable[[], None]
    finished: str


def job_button(
    request: Request,
    *,
    label: str,
    key: str,
    note: str = "",
    icon: str = ":material/play_arrow:",
    primary: bool = True,
    covers: Covers | None = None,
    begin: bool = False,
    changes: Callable[[], Hashable] = lambda: None,
    below: Callable[[], None] = lambda: None,
    finished: str = "",
) -> None:
    """The button; in its place the progress with Cancel while the job runs. When it ends, the page is drawn again.

    A job that failed says why, and the button says “Try again”. Nothing below moves when a job starts or is canceled.

    note: one honest line below, of what it takes: how many, how long, whether it can be left alone.
    covers: which jobs count as this one; else those with an equal request.
    begin: starts by itself, once; a job that was canceled or failed is not started again.
    changes: while the job runs, the page is drawn again whenever this gives something else.
    below: draws what stands below the note; again at every poll while the job runs.
    finished: Markdown in the button's place where nothing is left to be done.
    """
    same = covers or (lambda other: other == request)
    job = newest_job(same)
    if begin and job is None:
        start_job(request)
        again()
    button = _Button(request, label, key, note, icon, primary, same, changes, below, finished)
    with st.container(key=f"job room {key}"):  # what stands below keeps its place in the page whatever the job does
        if job is not None and is_active(job):
            shown_on_page(job)
            _running(button, job.id, changes())
        else:
            with st.container():  # a fragment draws in one too: so each element keeps its place in the page's tree
                _row(button, job)
                _below(button)


def job_status(job: JobRecord, *, key: str) -> None:
    """A job that is there already: its progress, or why it stopped and the button to try again."""
    job_button(job.request, label="Start", key=key)


@st.fragment(run_every=1.0)
@guarded()
def _running(button: _Button, job_id: str, before: Hashable) -> None:
    job = jobs().job(job_id)
    if not is_active(job) or button.changes() != before:
        st.rerun()
    progress_row(job, key=button.key)
    _below(button)


def _below(button: _Button) -> None:
    if button.note:
        st.caption(button.note)
    button.below()


def _row(button: _Button, job: JobRecord | None) -> None:
    failed = job is not None and job.state == "failed"
    with st.container(horizontal=True, vertical_alignment="center", key=f"job row {button.key}"):
        if button.finished:
            st.markdown(button.finished, width="stretch")
            return
        if st.button(
            "Try again" if failed else button.label, icon=":material/refresh:" if failed else button.icon,
            key=button.key, type="primary" if button.primary else "secondary",
        ):  # fmt: skip
            start_job(button.request, button.covers)
            again()
        if job is not None and job.state in STOPPED:
            shown_on_page(job)
            st.markdown(_reason(job), width="stretch")


def _reason(job: JobRecord) -> str:
    mark = ":red[:material/error: **Failed.**]" if job.state == "failed" else ":material/info:"
    return f"{mark} {message(why_it_stopped(job))}"
