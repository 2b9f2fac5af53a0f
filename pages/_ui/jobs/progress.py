"""How far a job is: one bar with what is being done and the time left, and the button that cancels it."""

import streamlit as st

from engine.domain.jobs import JobRecord
from engine.domain.numbers import duration
from pages._ui.session import jobs
from pages._ui.text import plain

_CANCELING = "jobs being canceled"
_KNOWN_FROM = 0.05  # of a job; before that its pace is the pace of loading libraries


def progress_row(job: JobRecord, *, key: str) -> None:
    """As high as the button in whose place it stands (`.st-key-job-row-…` in theme.css). `key`: no other row has it."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"job row {key}"):
        st.progress(min(1.0, max(0.0, job.progress.fraction)), text=plain(progress_text(job)))
        canceling = job.id in st.session_state.setdefault(_CANCELING, set())
        if st.button(
            "Cancel", key=f"cancel {key} {job.id}", icon=":material/stop_circle:", disabled=canceling,
            help="Stops at the next safe point. What is finished is kept.",
        ):  # fmt: skip
            st.session_state[_CANCELING].add(job.id)
            jobs().cancel(job.id)


def progress_text(job: JobRecord) -> str:
    """`Tracing 4 of 12 · 8 s left`."""
    if job.id in st.session_state.get(_CANCELING, ()):
        return "Canceling: it stops at the next safe point"
    if job.state == "queued":
        return "Queued: starts when the job before it ends"
    message = job.progress.message or "starting"
    return _with_capital(message) + time_left(job)


def _with_capital(message: str) -> str:
    """At its beginning, unless that is no plain word: what a person named, such as `mine@25%:`, stays as it is."""
    return message[0].upper() + message[1:] if message.split(" ")[0].isalpha() else message


def time_left(job: JobRecord) -> str:
    """` · 8 s left`; empty while too little is done to know."""
    eta = job.progress.eta_s
    return "" if eta is None or job.progress.fraction < _KNOWN_FROM else f" · {duration(eta)} left"


def why_it_stopped(job: JobRecord) -> str:
    """The reason in full, for a job that failed or was interrupted."""
    if job.state == "failed":
        return job.error
    return "The app was closed while this was running. What was finished is kept."
