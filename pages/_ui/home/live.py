"""The live run on Home: a time-lapse that grows while the run trains, beside the bundled one of the same words."""

from dataclasses import dataclass, replace

import streamlit as st

from engine.analysis.diff import diff_graphs
from engine.analysis.parts import explaining
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import GraphKey
from engine.domain.jobs import Beside, JobRecord, Train
from engine.domain.names import label_for
from engine.domain.numbers import plural
from engine.domain.runs import RunConfig
from engine.domain.timelapse import Moment
from engine.figures.timelapse_view import TimelapseView, timelapse_view
from engine.store import Store
from engine.workflows.live_queries import checkpoint_by, is_compared, live_keys
from engine.workflows.queries import timelapse_keys
from pages._ui.cached import scores, stamp
from pages._ui.demo import LIVE_PARAM, live_job
from pages._ui.errors import guarded
from pages._ui.graphs.linked_graphs import Marks, linked_graphs
from pages._ui.jobs.progress import progress_row
from pages._ui.jobs.state import shown_on_page
from pages._ui.session import jobs, store
from pages._ui.text import plain

_AT = "where the live time-lapse stands"
_GRAPH_PX, _TIMELAPSE_PX, _HEAD_PX = 240, 484, 50  # of the drawing, of the whole time-lapse, of the row above it


def leave() -> None:
    """Back to what Home shows otherwise."""
    st.query_params.pop(LIVE_PARAM, None)


def live_view(name: str) -> None:
    """Everything about one live run. It polls only while the run trains."""
    job = live_job(name)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("A live run")
        st.button("Back to Home", icon=":material/arrow_back:", type="tertiary", on_click=leave, key="back home")
    if job is None:
        st.info(plain(f"There is no live run “{name}” here. Start one on Home."))
        return
    assert isinstance(job.request, Train)
    beside = job.request.beside
    assert beside is not None
    st.markdown(
        plain(
            f"A, {name}, is training now, with the recipe and the seed of demo-lora. B, {beside.run}, learned the "
            "same words in another way. Each checkpoint of both is traced on"
        )
        + f" “**{plain(beside.prompt)} …**”."
    )
    if job.state in ("queued", "running"):
        _polled(name)
    else:
        _drawn(job)


@st.fragment(run_every=1.5)
@guarded()
def _polled(name: str) -> None:
    job = live_job(name)
    if job is None or job.state not in ("queued", "running"):
        st.rerun()
    _drawn(job)


def _drawn(job: JobRecord) -> None:
    """The same places from the first moment to the last: a row with the state, the time-lapse below it."""
    assert isinstance(job.request, Train)
    config, beside = job.request.config, job.request.beside
    assert beside is not None
    compared = job.state == "done" and is_compared(store(), config.name, beside)
    with st.container(height=_HEAD_PX, border=False, key="live head"):
        _state(job, config, beside, compared=compared)
    with st.container(height=_TIMELAPSE_PX, border=False, key="live graphs box"):
        _timelapse_view(config, beside, compared=compared)


def _state(job: JobRecord, config: RunConfig, beside: Beside, *, compared: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state in ("queued", "running"):
            shown_on_page(job)
            progress_row(job, key="live")
        elif compared:
            last = label_for(config.n_steps, config.n_steps)
            if st.button(f"Compare {config.name} with {beside.run}", type="primary", icon=":material/compare_arrows:"):
                sides = {"a": f"{config.name}@{last}", "b": f"{beside.run}@{last}", "prompt": beside.prompt}
                st.switch_page("pages/compare.py", query_params=sides)
            st.page_link(
                "pages/train.py", label="The run in Train", icon=":material/model_training:",
                query_params={"run": config.name},
            )  # fmt: skip
            n = len(store().checkpoints(config.name))
            st.caption(f"Done: both runs are traced at all {plural(n, 'checkpoint')}. Press play below.")
        else:
            if job.state == "failed":
                st.error(plain(job.error), icon=":material/error:")
            else:
                ended = "canceled" if job.state == "cancelled" else job.state
                st.caption(f"The live run was {ended}. What it has finished is kept.")
            if st.button("Resume", icon=":material/play_arrow:", type="primary", key="live resume"):
                jobs().resume(job.id)
                st.rerun()


def _timelapse_view(config: RunConfig, beside: Beside, *, compared: bool) -> None:
    timelapse = _live_timelapse(config, beside, compared=compared)
    if timelapse is None:
        st.caption("The first graphs appear here as soon as the base model is traced.")
        return
    newest = max(moment["step"] for moment in timelapse.moments if moment["ready"])
    linked_at = linked_graphs(timelapse, key="live graphs", marks=_follow(newest), height=_GRAPH_PX)
    st.session_state[_AT] = (linked_at, newest)


def _follow(newest: int) -> Marks:
    """The slider goes along with the newest step until someone moves it elsewhere."""
    marks, before = st.session_state.get(_AT, (Marks(), None))
    return replace(marks, step=newest) if marks.step in (None, before) else marks


def _live_timelapse(config: RunConfig, beside: Beside, *, compared: bool) -> TimelapseView | None:
    """Of the final comparison where it is whole, else of what is traced so far. None before the first graphs."""
    name, last = config.name, label_for(config.n_steps, config.n_steps)
    if compared:
        keys = timelapse_keys(store(), f"{name}@{last}", f"{beside.run}@{last}", beside.prompt)
    else:
        keys = live_keys(store(), name, beside)
    if not keys:
        return None
    made_from = (
        str(store().workspace), name,
        *(f"{step} {key_a.hash} {key_b.hash}" for step, (key_a, key_b) in keys.items()), str(stamp(store(), name)),
    )  # fmt: skip
    return _made(_Parts(store(), config, beside, keys), made_from)


@dataclass(frozen=True)
class _Parts:
    """What a time-lapse is made from."""

    store: Store
    config: RunConfig
    beside: Beside
    keys: dict[int, tuple[GraphKey, GraphKey]]


@st.cache_resource(max_entries=2, show_spinner=False)
def _made(_parts: _Parts, made_from: tuple[str, ...]) -> TimelapseView:
    here, config, run_b = _parts.store, _parts.config, _parts.beside.run
    moments = [
        Moment(step, f"{config.name}@{label_for(step, config.n_steps)}", checkpoint_by(here, run_b, step).ref)
        for step in (0, *config.capture_steps())
    ]
    runs = (config.name, run_b)
    probe = here.probe_with(runs, _parts.beside.prompt)
    answer = probe.answer if probe else ""
    return timelapse_view(
        moments,
        {step: _difference(here, pair, pair[0].hash, pair[1].hash, answer) for step, pair in _parts.keys.items()},
        {run: scores(here, run) for run in runs},
        probe=probe,
        losses={c.ref: c.state.smoothed_loss for run in runs for c in here.checkpoints(run)},
    )


@st.cache_resource(max_entries=40, show_spinner=False)
def _difference(_store: Store, _pair: tuple[GraphKey, GraphKey], a: str, b: str, answer: str) -> GraphDiff:
    """Each step once: the time-lapse is made again whenever another one comes. The right answer is explained at all."""
    graph_a, graph_b = _store.graph_pair(*_pair)
    return diff_graphs(graph_a, graph_b, DiffSettings(explained=explaining(graph_b, answer)))
