"""The job indicator in the top bar: what runs elsewhere, what stopped and why, what has just finished.

It takes no room from the page and is not there when there is nothing to say. What the page itself shows is not said
here a second time, so that no two figures ever disagree.
"""

import time
from dataclasses import dataclass

import streamlit as st

from engine.domain.jobs import FINISHED, JobRecord
from engine.domain.numbers import percent, plural
from pages._ui.errors import guarded
from pages._ui.jobs.progress import progress_row, time_left, why_it_stopped
from pages._ui.jobs.state import STOPPED, on_page, seen_ending
from pages._ui.session import jobs
from pages._ui.text import message, plain, shorten

NEWS_S = 15.0  # how long a finished job is news; theme.css hides the line after as long
_TITLE_LIMIT = 34  # characters of a title in the top bar; the menu has it whole
_DRAWN = "active jobs in the top bar"


@dataclass(frozen=True)
class _SeenJobs:
    """The jobs that the indicator speaks of, newest first."""

    active: list[JobRecord]
    stopped: list[JobRecord]  # failed or interrupted
    done: list[JobRecord]  # a moment ago
    n_here: int  # others that are active or stopped: the page itself shows them


def job_indicator() -> None:
    """After the page, which says what it shows itself. It polls only while a job is active."""
    seen = _seen()
    st.session_state[_DRAWN] = {job.id for job in seen.active}
    with st.container(key="jobs"):
        if seen.active:
            _poll()
        else:
            _indicator(seen)


@st.fragment(run_every=1.0)
@guarded()
def _poll() -> None:
    seen = _seen()
    if {job.id for job in seen.active} != st.session_state.get(_DRAWN):
        st.rerun()  # one has ended, or another tab has started one: the page may show what it made
    _indicator(seen)


def _seen() -> _SeenJobs:
    here, seen, known = on_page(), seen_ending(), jobs().snapshot()
    elsewhere = [job for job in known if job.id not in here]
    news = [job for job in elsewhere if job.state == "done" and job.id not in seen]
    return _SeenJobs(
        active=[job for job in elsewhere if job.state not in FINISHED],
        stopped=[job for job in elsewhere if job.state in STOPPED],
        done=[job for job in news if time.time() - (job.finished_at or 0.0) < NEWS_S],
        n_here=sum(job.id in here and (job.state not in FINISHED or job.state in STOPPED) for job in known),
    )


def _indicator(seen: _SeenJobs) -> None:
    if seen.active or seen.stopped:
        with st.popover(indicator_label(seen.active, seen.stopped), key="jobs menu", width="content"):
            for job in seen.active:
                st.markdown(f"**{plain(job.title)}**")
                progress_row(job, key=f"indicator {job.id}")
            if len(seen.stopped) > 1 and st.button("Dismiss all that stopped", key="dismiss all", type="tertiary"):
                for job in seen.stopped:
                    jobs().forget(job.id)
                st.rerun()
            for job in seen.stopped:
                _stopped(job)
            if seen.n_here:
                st.caption(f"{plural(seen.n_here, 'more job')} {'is' if seen.n_here == 1 else 'are'} on this page.")
    elif seen.done:
        with st.container(key="jobs news"):
            st.markdown(f":green[:material/check:] {plain(shorten(seen.done[0].title, _TITLE_LIMIT))}: done")


def indicator_label(active: list[JobRecord], stopped: list[JobRecord]) -> str:
    """`Train live · 45% · 20 s left`, `2 jobs · 45%`, `Train live failed`; what stopped is red."""
    parts = [_active_label(active)] if active else []
    if stopped:
        n_failed = sum(job.state == "failed" for job in stopped)
        state = "interrupted" if not n_failed else "failed" if n_failed == len(stopped) else "stopped"
        if active:
            parts.append(f":red[{len(stopped)} {state}]")
        else:
            what = _title(stopped[0]) if len(stopped) == 1 else plural(len(stopped), "job")
            parts.append(f":red[:material/error: {what} {state}]")
    return " · ".join(parts)


def _active_label(active: list[JobRecord]) -> str:
    running = [job for job in active if job.state == "running"]
    if not running:
        return f"{_title(active[0])} · queued" if len(active) == 1 else f"{plural(len(active), 'job')} · queued"
    job = running[-1]
    far = percent(round(job.progress.fraction, 2))
    if len(active) > 1:
        return f"{plural(len(active), 'job')} · {far}"
    return f"{_title(job)} · {far}{time_left(job)}"


def _title(job: JobRecord) -> str:
    return plain(shorten(job.title, _TITLE_LIMIT))


def _stopped(job: JobRecord) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(job.title)}** :red[{job.state}]")
        st.markdown(message(why_it_stopped(job)))
        with st.container(horizontal=True):
            if job.state == "interrupted" and st.button("Resume", key=f"resume {job.id}", icon=":material/play_arrow:"):
                jobs().resume(job.id)
                st.rerun()
            if job.state == "failed" and st.button("Try again", key=f"resume {job.id}", icon=":material/refresh:"):
                jobs().resume(job.id)
                st.rerun()
            if st.button("Dismiss", key=f"dismiss {job.id}"):
                jobs().forget(job.id)
                st.rerun()
