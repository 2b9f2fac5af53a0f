"""Finding circuits, checking and uniting them, where it is asked for: what it takes, how far it is, how to stop it."""

from collections.abc import Callable, Sequence

import streamlit as st

from engine.domain.components import ScoreSettings
from engine.domain.jobs import CheckRobustness, FindCircuits, JobRecord, Request, UniteCircuits
from engine.domain.numbers import duration, plural
from engine.domain.runs import Checkpoint
from pages._ui.jobs_panel import wait_here
from pages._ui.session import again, jobs
from pages._ui.text import plain

SCORE_S, CURVE_S = 0.6, 1.7  # of one checkpoint, 100 pairs, on the demo's model and one core
ROBUSTNESS_S = 30.0


def find_here(run: str, checkpoints: Sequence[Checkpoint], pairs: str, settings: ScoreSettings, *, rest: bool) -> None:
    """Progress while circuits of the run are being found; else an offer to find those of `checkpoints`.

    `rest`: others of this run are there already.
    """
    if under_way(lambda request: finds(request, run), "Finding circuits", kept="finished checkpoints are saved"):
        return
    request = FindCircuits(checkpoints=tuple(one.ref for one in checkpoints), pairs=pairs, settings=settings)
    n = len(checkpoints)
    with st.container(border=True):
        if rest:
            st.markdown(f"**{plural(n, 'checkpoint')} of {plain(run)} without a circuit yet**")
        else:
            st.markdown(f"**The circuits of {plain(run)} have not been found yet**")
            st.markdown(
                "A component circuit is the set of attention heads and MLPs, and of edges between them, that an answer "
                "depends on. It is found with prompt pairs that differ in one word and so in the right answer. Find it "
                "at every checkpoint to see which edges fine-tuning kept, flipped, added or removed."
            )
        label = f"Find {'it' if n == 1 else f'all {n}'}" if rest else "Find the circuits of all checkpoints"
        if st.button(label, type="primary", icon=":material/hub:", key="find circuits"):
            jobs().submit(request)
            again()
        st.caption(estimate(n, settings))


def estimate(n_checkpoints: int, settings: ScoreSettings) -> str:
    """What it takes, on the demo's model."""
    share = settings.n_pairs / 100
    takes = duration(n_checkpoints * share * (SCORE_S * settings.n_steps / 5 + CURVE_S))
    return (
        f"{plural(n_checkpoints, 'checkpoint')}, up to {plural(settings.n_pairs, 'prompt pair')} each: about {takes} "
        "on the demo’s model. It runs in the background, and every finished checkpoint is saved."
    )


def ask_for(request: Request, mine: Callable[[Request], bool], *, label: str, title: str, note: str, key: str) -> None:
    """A button that asks for a job, with what it takes; its progress in the button's place while it runs."""
    if under_way(mine, title, kept="nothing stored is lost"):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(label, icon=":material/play_arrow:", key=key):
            jobs().submit(request)
            again()
        st.caption(note, width="stretch")


def under_way(mine: Callable[[Request], bool], title: str, *, kept: str) -> bool:
    """Whether the newest job that `mine` knows is under way, with its progress; one that failed says why."""
    job = next((job for job in jobs().snapshot() if mine(job.request)), None)
    if job is None:
        return False
    if job.state == "failed":
        st.error(plain(job.error), icon=":material/error:")
    if job.state not in ("queued", "running"):
        return False
    _wait(job, title, kept)
    return True


def checks(request: Request, checkpoint: str) -> bool:
    """Does it measure the robustness of this checkpoint's circuit?"""
    return isinstance(request, CheckRobustness) and request.checkpoint == checkpoint


def unites(request: Request, run: str) -> bool:
    """Does it unite circuits for a checkpoint of this run?"""
    return isinstance(request, UniteCircuits) and request.checkpoint.startswith(f"{run}@")


def finds(request: Request, run: str) -> bool:
    return isinstance(request, FindCircuits) and any(ref.startswith(f"{run}@") for ref in request.checkpoints)


def _wait(job: JobRecord, title: str, kept: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{title}**")
        wait_here(job.id)
        if st.button("Cancel", icon=":material/stop_circle:", key=f"cancel here {job.id}"):
            jobs().cancel(job.id)
            st.toast(f"Cancelling: {kept}.")
