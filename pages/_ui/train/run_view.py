"""One run: how it learns while it learns, what it learned afterwards, where to go next."""

from functools import partial

import streamlit as st

from engine.domain.errors import NotFound
from engine.domain.jobs import JobRecord, Request, Train
from engine.domain.names import label_for
from engine.domain.numbers import step_name
from engine.domain.runs import Checkpoint, RunConfig, TuningLog
from engine.figures.charts import curve_chart, loss_chart
from engine.store.infos import RunInfo
from pages._ui import url
from pages._ui.cached import draw, scores, stamp
from pages._ui.delete import delete_button
from pages._ui.jobs.button import job_button
from pages._ui.jobs.state import is_active, newest_job
from pages._ui.session import store
from pages._ui.text import duration, plain, words
from pages._ui.train.decisions_view import decides, decisions_view, newest, stopped_by
from pages._ui.train.report_button import report_button


def run_view(page: str, name: str) -> None:
    """Live while its job runs: only then it polls."""
    job = newest_job(lambda request: _trains(request, name))
    info = next((info for info in store().runs() if info.name == name), None)
    config = _config(info, job)
    if config is None:
        st.info("This run has not begun, and no job is going to begin it. Start a run on the left.")
        return
    training = is_active(job)
    ended = "" if training or info is None else _ended(info)
    stopped = "" if training or ended or info is None else f"{_stopped(info)} · "
    job_button(
        Train(config=config, resume=info is not None), label="Resume" if info else "Start training",
        key="train run", covers=lambda request: _trains(request, name), below=partial(_figures, config),
        note=plain(stopped + _settings(config)), finished=ended,
    )  # fmt: skip
    if training or info is None:
        return
    if cost := costs(store().checkpoints(name), store().tuning(name)):
        st.caption(cost)
    _next_steps(page, info)


def _trains(request: Request, name: str) -> bool:
    return isinstance(request, Train) and request.config.name == name


def _config(info: RunInfo | None, job: JobRecord | None) -> RunConfig | None:
    """Of the stored run, else of the one that its job is going to make."""
    if info is not None:
        return info.config
    if job is None or job.state in ("done", "cancelled"):
        return None
    assert isinstance(job.request, Train)
    return job.request.config


def _ended(info: RunInfo) -> str:
    """How the run ended; empty where it can be resumed."""
    if not (info.finished or info.bundled or info.config.imported):
        return ""
    ended = stopped_by(info.config, store().decisions(info.config.name)) or "finished"
    return f":green[:material/check:] {plain(ended[0].upper() + ended[1:])}"


def _stopped(info: RunInfo) -> str:
    return f"stopped at {step_name(info.steps[-1]) if info.steps else 'base'}"


def _settings(config: RunConfig) -> str:
    return f"{words(config.method)} on {config.corpus} · {config.n_steps} steps · seed {config.seed}"


def _figures(config: RunConfig) -> None:
    """Checkpoints so far, the loss, the probes' curves."""
    try:
        steps = [checkpoint.step for checkpoint in store().checkpoints(config.name)]
        losses = store().losses(config.name)
    except NotFound:
        st.caption("Nothing is kept yet.")
        return
    st.markdown(timeline(config, steps))
    decisions = store().decisions(config.name)
    if decides(config):
        st.markdown(newest(config, decisions))
    if not losses.step and len(steps) < 2:
        st.caption("The first losses appear in a moment.")
        return
    name, measured = config.name, stamp(store(), config.name)
    draw(
        lambda: loss_chart({name: losses}, last_step=config.n_steps, height=140),
        "loss", str(store().workspace), name, measured, losses.step[-1:], losses.loss[-1:],
        key=f"loss {name}", alt=f"Training loss of {name} over steps.",
    )  # fmt: skip
    found, width = scores(store(), name), 370
    if not found.empty:
        draw(
            lambda: curve_chart({name: found}, width=width, height=170),
            "curves", str(store().workspace), name, measured, width,
            key=f"curves {name}", alt=f"Share of probes that {name} answers right, over steps.",
        )  # fmt: skip
    decisions_view(config, decisions)


def timeline(config: RunConfig, steps: list[int]) -> str:
    """A badge a planned checkpoint, blue once it is kept. Labels are ours, never a user's text."""
    planned = sorted({0, *config.capture_steps(), *steps})
    labels = [(label_for(step, config.n_steps), step in steps) for step in planned]
    return "Checkpoints " + " ".join(f":{'blue' if kept else 'gray'}-badge[{label}]" for label, kept in labels)


def costs(checkpoints: list[Checkpoint], tuning: TuningLog) -> str:
    """What the run trained and took, as far as it was counted; empty for one that has no checkpoint yet."""
    state = checkpoints[-1].state if checkpoints else None
    if state is None or not state.step or not state.n_trainable:
        return ""
    moved = "" if state.n_moved is None else f", {state.n_moved:,} of them moved"
    told = [f"{state.n_trainable:,} parameters could be trained{moved}"]
    if tuning.share:
        low, high = min(tuning.share), max(tuning.share)
        told.append(f"{low:.0%} to {high:.0%} of the model at a time, in {len(tuning.share)} circuits")
    if state.wall_time_s:
        told.append(f"trained for {duration(state.wall_time_s)}")
    if state.prepared_s:
        told.append(f"{duration(state.prepared_s)} of probe runs before")
    if state.peak_bytes is not None:
        told.append(f"at most {state.peak_bytes / 1e6:,.0f} MB more memory")
    return " · ".join(told)


def _next_steps(page: str, info: RunInfo) -> None:
    name = info.config.name
    last = label_for(info.steps[-1], info.config.n_steps) if info.steps else "base"
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(info.steps) > 1:
            st.page_link(
                "pages/compare.py", label="Compare with the base", icon=":material/compare_arrows:",
                query_params={"a": f"{name}@base", "b": f"{name}@{last}"},
            )  # fmt: skip
            st.page_link(
                "pages/curves.py", label="Learning curves", icon=":material/show_chart:", query_params={"runs": name}
            )
            report_button(name)
        if not info.bundled:
            delete_button(f"the run **{plain(name)}** and all its checkpoints", partial(_delete, page, name), key="run")


def _delete(page: str, name: str) -> None:
    store().delete_run(name)
    url.forget(page, "run")
