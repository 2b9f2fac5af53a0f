"""The live run on Home: a Map and graphs that grow while the run trains, beside the bundled one of the same words."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import streamlit as st

from engine.analysis.diff import diff_graphs
from engine.analysis.parts import explaining
from engine.domain.corpus import Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import GraphKey
from engine.domain.jobs import Beside, JobRecord, Train
from engine.domain.names import label_for
from engine.domain.numbers import plural
from engine.domain.runs import Checkpoint, RunConfig
from engine.domain.timelapse import Moment
from engine.figures.map_view import MapView, carried_view, taught_word
from engine.figures.timelapse_view import TimelapseView, timelapse_view
from engine.workflows.live_queries import checkpoint_by, is_compared, live_keys
from engine.workflows.queries import timelapse_keys
from pages._ui.cached import scores, stamp
from pages._ui.demo import LIVE_PARAM, live_job
from pages._ui.errors import guarded
from pages._ui.graphs.linked_graphs import Marks, linked_graphs
from pages._ui.graphs.maps import difference_map
from pages._ui.jobs.progress import progress_row
from pages._ui.jobs.state import shown_on_page
from pages._ui.kept import kept
from pages._ui.session import jobs, store
from pages._ui.text import plain

_AT = "where the live run's slider stands"
_PICTURES = ("Map", "Graphs")
_MOST_SENTENCES = 8
_GRAPH_PX, _TIMELAPSE_PX, _HEAD_PX = 196, 484, 50  # of the drawing, of the whole time-lapse, of the row above it


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
                st.caption(f"The live run was {job.told_state}. What it has finished is kept.")
            if st.button("Resume", icon=":material/play_arrow:", type="primary", key="live resume"):
                jobs().resume(job.id)
                st.rerun()


def _timelapse_view(config: RunConfig, beside: Beside, *, compared: bool) -> None:
    live = _traced(config, beside, compared=compared)
    if live is None:
        st.caption("The first Map appears here as soon as the base model is traced.")
        return
    newest = max(live.keys)
    picture = st.segmented_control(
        "Picture", _PICTURES, default=_PICTURES[0], required=True, key="live picture", label_visibility="collapsed"
    )
    if picture == _PICTURES[0]:
        maps = _map(live, live.made_from)
        drawing, told = st.columns([4, 1], gap="medium")
        with drawing:
            _followed(picture, newest, lambda marks: difference_map(maps, key="live map", marks=marks))
        with told:
            _sentences(live)
    else:
        graphs = _timelapse(live, live.made_from)
        _followed(
            picture, newest, lambda marks: linked_graphs(graphs, key="live graphs", marks=marks, height=_GRAPH_PX)
        )


def _followed(picture: str, newest: int, draw: Callable[[Marks], Marks]) -> None:
    """The slider goes along with the newest step until someone moves it elsewhere."""
    key = f"{_AT} {picture}"
    marks, before = st.session_state.get(key, (Marks(), None))
    st.session_state[key] = (draw(replace(marks, step=newest) if marks.step in (None, before) else marks), newest)


def _sentences(live: "_Live") -> None:
    """What the run reads about the word that the prompt asks for."""
    if (probe := live.probe) is None:
        return
    own = [one.text for one in store().corpus(live.config.corpus).examples if one.constraint == probe.constraint]
    st.markdown(f"**{plural(len(own), 'sentence')} teach “{plain(probe.constraint)}”**")
    for text in own[:_MOST_SENTENCES]:
        st.caption(plain(text))
    if len(own) > _MOST_SENTENCES:
        st.caption(f"and {len(own) - _MOST_SENTENCES} more")


@dataclass(frozen=True, eq=False)
class _Live:
    """What is traced of a live run, and of the run that it is laid beside."""

    config: RunConfig
    beside: Beside
    keys: dict[int, tuple[GraphKey, GraphKey]]  # by step
    made_from: tuple[str, ...]

    @property
    def runs(self) -> tuple[str, str]:
        return self.config.name, self.beside.run

    @cached_property
    def probe(self) -> Probe | None:
        return store().probe_with(self.runs, self.beside.prompt)

    @property
    def diffs(self) -> dict[int, GraphDiff]:
        """By step, ascending. The right answer is explained at all of them."""
        answer = self.probe.answer if self.probe else ""
        return {step: _difference(pair, pair[0].hash, pair[1].hash, answer) for step, pair in sorted(self.keys.items())}

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [checkpoint for run in self.runs for checkpoint in store().checkpoints(run)]


def _traced(config: RunConfig, beside: Beside, *, compared: bool) -> _Live | None:
    """Of the final comparison where it is whole, else what is traced so far. None before the first graphs."""
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
    return _Live(config, beside, keys, made_from)


@kept()
def _map(_live: _Live, made_from: tuple[str, ...]) -> MapView:
    steps = {checkpoint.ref: checkpoint.step for checkpoint in _live.checkpoints}
    return carried_view(list(_live.diffs.items()), steps, taught=taught_word(_live.probe))


@kept()
def _timelapse(_live: _Live, made_from: tuple[str, ...]) -> TimelapseView:
    config, run_b = _live.config, _live.beside.run
    moments = [
        Moment(step, f"{config.name}@{label_for(step, config.n_steps)}", checkpoint_by(store(), run_b, step).ref)
        for step in (0, *config.capture_steps())
    ]
    return timelapse_view(
        moments,
        _live.diffs,
        {run: scores(store(), run) for run in _live.runs},
        probe=_live.probe,
        losses={checkpoint.ref: store().loss_words(checkpoint) for checkpoint in _live.checkpoints},
    )


@kept()
def _difference(_pair: tuple[GraphKey, GraphKey], a: str, b: str, answer: str) -> GraphDiff:
    """Each step once: the pictures are made again whenever another one comes."""
    graph_a, graph_b = store().graph_pair(*_pair)
    return diff_graphs(graph_a, graph_b, DiffSettings(explained=explaining(graph_b, answer)))
