"""One run: how it learns while it learns, what it learned afterwards, where to go next.

A run has the same layout before, during and after training, so that nothing moves while one watches it.
"""

from functools import partial
from typing import Final

import streamlit as st

from engine.domain.errors import NotFound
from engine.domain.jobs import JobRecord, Request, Train
from engine.domain.methods import METHOD_INFOS
from engine.domain.numbers import count, duration, percent, plural, step_name
from engine.domain.runs import NO_CORPUS, Checkpoint, LossLog, RunConfig, TuningLog
from engine.figures.charts import curve_panels, loss_chart
from engine.store.infos import RunInfo
from pages._ui import url
from pages._ui.cached import scores
from pages._ui.charts import draw, kept_chart
from pages._ui.delete import delete_button
from pages._ui.jobs.button import job_button
from pages._ui.jobs.state import is_active, newest_job
from pages._ui.panels import draw_panels, room
from pages._ui.session import store
from pages._ui.text import plain, words
from pages._ui.train.decisions_view import decides, decisions_view, newest, stopped_by
from pages._ui.train.report_button import report_button

_VERDICT_PX: Final = 60  # two lines
_LOSS_PX: Final = 190
_PROBES_PX: Final = 260


def run_view(page: str, name: str) -> None:
    """Live while its job runs: only then it polls."""
    job = newest_job(lambda request: _trains(request, name))
    info = next((info for info in store().runs() if info.name == name), None)
    config = _config(info, job)
    if config is None:
        st.info("This run has not begun, and no job is waiting to begin it. Start a run on the left.")
        return
    training = is_active(job)
    ended = "" if training or info is None else _ended(info)
    stopped = "" if training or ended or info is None else f"{_stopped(info)} · "
    beside = job.request.beside if job is not None and isinstance(job.request, Train) else None
    job_button(
        Train(config=config, resume=info is not None, beside=beside), label="Resume" if info else "Start training",
        key="train this run", covers=lambda request: _trains(request, name), below=partial(_figures, config),
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
    if job is None or job.state == "done":
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
    return f"stopped at {step_name(info.steps[-1] if info.steps else 0)}"


def _settings(config: RunConfig) -> str:
    """`LoRA on demo · 300 steps · seed 0`."""
    method = METHOD_INFOS[config.method].title if config.method in METHOD_INFOS else words(config.method)
    if config.imported:
        on = "" if config.corpus == NO_CORPUS else f" · probes of {config.corpus}"
        return f"{method}, imported · {plural(config.n_steps, 'step')}{on}"
    return f"{method} on {config.corpus} · {plural(config.n_steps, 'step')} · seed {config.seed}"


def _figures(config: RunConfig) -> None:
    """Checkpoints so far, the loss, the probes' curves, the circuits."""
    name = config.name
    try:
        steps = [checkpoint.step for checkpoint in store().checkpoints(name)]
        losses, decisions = store().losses(name), store().decisions(name)
    except NotFound:  # it waits for its turn
        _waiting(config)
        return
    st.markdown(timeline(config, steps))
    if decides(config):
        with st.container(height=_VERDICT_PX, border=False):
            st.markdown(newest(config, decisions))
    draw(
        kept_chart(partial(loss_chart, {name: losses}, last_step=config.n_steps, height=_LOSS_PX)),
        key=f"loss {name}", alt=f"Training loss of {name} over steps.", height=_LOSS_PX,
    )  # fmt: skip
    found = scores(store(), name)
    with room(_n_types(config), _PROBES_PX):
        if found.empty:
            st.caption("No probes were measured yet.")
        else:
            draw_panels(
                partial(curve_panels, {name: found}, last_step=config.n_steps, height=_PROBES_PX),
                key=f"curves {name}", height=_PROBES_PX,
                alt_text=lambda kind: f"Accuracy of {name} on {words(kind)} probes, by probe kind and step.",
            )  # fmt: skip
    decisions_view(config, decisions, n_types=_n_types(config))


def _waiting(config: RunConfig) -> None:
    st.markdown(timeline(config, []))
    if decides(config):
        st.container(height=_VERDICT_PX, border=False)
    draw(
        kept_chart(partial(loss_chart, {config.name: LossLog()}, last_step=config.n_steps, height=_LOSS_PX)),
        key=f"loss {config.name}", height=_LOSS_PX,
        alt=f"Training loss of {config.name}: none yet.",
    )  # fmt: skip
    with room(_n_types(config), _PROBES_PX):
        st.caption("The probes are measured at every checkpoint.")


def _n_types(config: RunConfig) -> int:
    """How many panels there will be."""
    info = next((info for info in store().corpora() if info.name == config.corpus), None)
    return len(info.constraint_types) if info else 1


def timeline(config: RunConfig, steps: list[int]) -> str:
    """A badge a planned checkpoint, blue once it is there. Labels are ours, never a user's text."""
    planned = sorted({0, *config.capture_steps(), *steps})
    badges = (f":{'blue' if step in steps else 'gray'}-badge[{step_name(step)}]" for step in planned)
    return "Checkpoints " + " ".join(badges)


def costs(checkpoints: list[Checkpoint], tuning: TuningLog) -> str:
    """What the run trained and took, as far as it was counted; empty for one that has no checkpoint yet."""
    state = checkpoints[-1].state if checkpoints else None
    if state is None or not state.step or not state.n_trainable:
        return ""
    moved = "" if state.n_moved is None else f", {count(state.n_moved)} of them changed"
    parts = [f"{plural(state.n_trainable, 'trainable parameter')}{moved}"]
    if tuning.share:
        low, high = min(tuning.share), max(tuning.share)
        circuits = plural(len(tuning.share), "circuit")
        parts.append(f"{percent(low)} to {percent(high)} of the model at a time, in {circuits}")
    if state.wall_time_s:
        parts.append(f"trained for {duration(state.wall_time_s)}")
    if state.prepared_s:
        parts.append(f"{duration(state.prepared_s)} of probe runs first")
    if state.peak_bytes is not None:
        parts.append(f"{count(round(state.peak_bytes / 1e6))} MB of additional memory at most")
    return " · ".join(parts)


def _next_steps(page: str, info: RunInfo) -> None:
    name = info.config.name
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(info.steps) > 1:
            st.page_link(
                "pages/compare.py", label="Compare with the base", icon=":material/compare_arrows:",
                query_params={"a": f"{name}@base", "b": store().checkpoints(name)[-1].ref},
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
