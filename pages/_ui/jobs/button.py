"""The one way to ask for a job: a button that becomes its progress, and its reason where it failed."""

from collections.abc import Callable, Hashable

import streamlit as st

from engine.domain.jobs import JobRecord, Request
from pages._ui.errors import guarded
from pages._ui.jobs.progress import progress_row, why_it_stopped
from pages._ui.jobs.state import Covers, is_active, newest_job, shown_on_page, start_job
from pages._ui.session import again, jobs
from pages._ui.text import plain


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
    changes: Callable[[], Hashable] | None = None,
    live: Callable[[], None] | None = None,
) -> None:
    """The button; in its place the progress with Cancel while the job runs. When it ends, the page is drawn again.

    A job that failed says why, and the button says “Try again”. Nothing below moves when a job starts or is canceled.

    note: one honest line below, of what it takes: how many, how long, whether it can be left alone.
    covers: which jobs count as this one; else those with an equal request.
    begin: starts by itself, once; a job that was canceled or failed is not started again.
    changes: while the job runs, the page is drawn again whenever this gives something else.
    live: drawn below the progress, again at every poll.
    """
    same = covers or (lambda other: other == request)
    job = newest_job(same)
    if begin and job is None:
        start_job(request)
        again()
    with st.container(key=f"job {key}", gap="xsmall"):
        if job is not None and is_active(job):
            shown_on_page(job)
            _running(job.id, key, changes, changes() if changes else None, live)
        else:
            _button(request, same, job, label=label, icon=icon, primary=primary, key=key)
        if note:
            st.caption(note)


def job_status(job: JobRecord, *, key: str) -> None:
    """A job that is there already: its progress, or why it stopped and the button to try again."""
    job_button(job.request, label="Start", key=key, covers=lambda other: other == job.request)


@st.fragment(run_every=1.0)
@guarded()
def _running(
    job_id: str, key: str, changes: Callable[[], Hashable] | None, before: Hashable, live: Callable[[], None] | None
) -> None:
    job = jobs().job(job_id)
    if not is_active(job) or (changes is not None and changes() != before):
        st.rerun()
    progress_row(job, key=key)
    if live is not None:
        live()


def _button(
    request: Request, same: Covers, job: JobRecord | None, *, label: str, icon: str, primary: bool, key: str
) -> None:  # fmt: skip
    stopped = job is not None and job.state in ("failed", "interrupted")
    failed = job is not None and job.state == "failed"
    with st.container(horizontal=True, vertical_alignment="center", key=f"job row {key}"):
        if st.button(
            "Try again" if failed else label, icon=":material/refresh:" if failed else icon, key=key,
            type="primary" if primary else "secondary",
        ):  # fmt: skip
            start_job(request, same)
            again()
        if job is not None and stopped:
            shown_on_page(job)
            st.markdown(_reason(job), width="stretch")


def _reason(job: JobRecord) -> str:
    mark = ":red[:material/error: **Failed.**]" if job.state == "failed" else ":material/info:"
    return f"{mark} {plain(why_it_stopped(job))}"
