"""Background jobs on every page: progress, time left, cancel; resume what was interrupted; what failed, and why."""

import time
from collections.abc import Iterable

import streamlit as st

from engine.domain.jobs import JobRecord, Request
from pages._ui.errors import guarded
from pages._ui.session import again, jobs
from pages._ui.text import duration, plain

_SEEN = "active jobs when this page was drawn"
_SIDEBAR = "the sidebar has something to say"
_TOLD = "finished jobs that this tab was told of"
_NEWS_S = 15.0  # how long a finished job is news
# Short, and shown where they were asked for: a sidebar that opens for a second would push the page about.
_IN_PLACE = {"intervene", "describe_features", "timelapse"}
_LONG_S = 20.0  # after so long even these are told everywhere


def jobs_panel() -> None:
    """In the sidebar. The polling fragment is mounted only while a job is active."""
    records = jobs().snapshot()
    active = _told(record for record in records if record.state in ("queued", "running"))
    st.session_state[_SEEN] = {record.id for record in active}
    stopped = _told(record for record in records if record.state in ("failed", "interrupted"))
    st.session_state[_SIDEBAR] = bool(active or stopped)
    _tell_done(_told(r for r in records if r.state == "done" and time.time() - (r.finished_at or 0) < _NEWS_S))
    with st.sidebar:
        if active:
            _poll()
        for record in stopped:
            _stopped(record)


def _told(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Those that every page tells of."""
    now = time.time()
    return [
        record
        for record in records
        if record.request.action not in _IN_PLACE or (record.finished_at or now) - record.created_at > _LONG_S
    ]


def _tell_done(records: list[JobRecord]) -> None:
    """Each finished job is told once a tab, in passing: the page below keeps its width."""
    told = st.session_state.setdefault(_TOLD, set())
    for record in records:
        if record.id not in told:
            told.add(record.id)
            st.toast(plain(f"{record.title}: done"), icon=":material/check:")


def sidebar_open() -> bool:
    """Whether the sidebar takes its part of the page."""
    return bool(st.session_state.get(_SIDEBAR))


def panel_px(wide: int, narrow: int) -> int:
    """The width of a chart that cannot stretch: `narrow` while the sidebar takes its part of the page."""
    return narrow if sidebar_open() else wide


@st.fragment(run_every=1.0)
@guarded()
def _poll() -> None:
    active = _told(jobs().active())
    if {record.id for record in active} != st.session_state.get(_SEEN):
        st.rerun()  # one has finished, or another tab has begun one: the page may show what it made
    for record in active:
        _running(record)


def _running(record: JobRecord) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(record.title)}**")
        show_progress(record)
        if st.button("Cancel", key=f"cancel {record.id}", icon=":material/stop_circle:"):
            jobs().cancel(record.id)
            st.toast("Cancelling: it stops at the next safe point.")


@st.fragment(run_every=0.7)
@guarded()
def wait_here(job_id: str, *, note: str = "") -> None:
    """The job's progress where it was asked for; when it ends, the page is drawn with what it made."""
    job = jobs().job(job_id)
    if job.state not in ("queued", "running"):
        st.rerun()
    show_progress(job)
    if note:
        st.caption(note)


def ask_here(request: Request, *, label: str, icon: str, note: str, key: str) -> None:
    """A button that asks for a job; its progress in the button's place while it runs, what failed above it."""
    job = next((job for job in jobs().snapshot() if job.request == request), None)
    if job is not None and job.state in ("queued", "running"):
        wait_here(job.id)
        return
    if job is not None and job.state == "failed":
        st.error(plain(job.error), icon=":material/error:")
    if st.button(label, type="primary", icon=icon, key=key):
        jobs().submit(request)
        again()
    st.caption(note)


def show_progress(record: JobRecord) -> None:
    """One bar with what is being done and the time left."""
    if record.state == "queued":
        st.caption("Queued: it starts when the job before it ends.")
        return
    left = "" if record.progress.eta_s is None else f" · {duration(record.progress.eta_s)} left"
    message = record.progress.message or "starting"
    text = plain(message[0].upper() + message[1:]) + left
    st.progress(min(1.0, max(0.0, record.progress.fraction)), text=text)


def _stopped(record: JobRecord) -> None:
    failed = record.state == "failed"
    with st.container(border=True):
        st.markdown(f"**{plain(record.title)}** · {'failed' if failed else 'interrupted'}")
        if failed:
            st.caption(plain(record.error))
        else:
            st.caption("The app stopped while it ran. What it had finished is kept.")
        with st.container(horizontal=True):
            if not failed and st.button("Resume", key=f"resume {record.id}", icon=":material/play_arrow:"):
                jobs().resume(record.id)
                st.rerun()
            if st.button("Dismiss", key=f"dismiss {record.id}"):
                jobs().forget(record.id)
                st.rerun()
