"""What was seen and decided while a run trained: the newest verdict, each checkpoint, the sampling, what it cost."""

from functools import partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from engine.analysis.settling import settling
from engine.decisions import needs_circuits
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, Capture, RunDecisions
from engine.domain.measures import FLOOR_CAVEAT
from engine.domain.numbers import count, duration, plural, step_name
from engine.domain.runs import Checkpoint, RunConfig
from engine.figures.change_charts import change_panels, change_rows, weights_chart
from engine.figures.change_tables import capture_rows, readings_as_changes, seconds_a_step, weight_rows
from pages._ui.change_data import captures_seen
from pages._ui.charts import draw, kept_chart
from pages._ui.panels import draw_panels, room
from pages._ui.session import store
from pages._ui.settled_text import marks
from pages._ui.text import plain, words

_CHANGE_PX: Final = 220
_SAMPLING_PX: Final = 150


def decides(config: RunConfig) -> bool:
    """Whether anything is traced or decided while this run trains."""
    return config.watch or config.stopping != "none" or config.curriculum != "uniform"


def decisions_view(config: RunConfig, decisions: RunDecisions, *, n_types: int) -> None:
    """All that was seen and decided so far; nothing where nothing is. `n_types`: panels to keep room for."""
    if not (decides(config) or decisions.readings or decisions.decisions):
        return
    checkpoints = store().checkpoints(config.name)
    if needs_circuits(config) or decisions.readings:
        _circuits(config, decisions, checkpoints, n_types)
    _sampling(config, decisions)
    if not (decisions.readings or decisions.decisions):
        return
    st.caption(costs(config, decisions, checkpoints))
    with st.expander("Checkpoint by checkpoint", icon=":material/table_rows:"):
        rows = capture_rows(decisions, measure=config.decisions.measure)
        st.table(readable(rows), hide_index=True, border="horizontal")


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `capture_rows` with texts that Markdown shows as they are; circuits by constraint type."""
    titles = {name: name.capitalize() if name in ("step", "decision") else f"Circuit change, {name}" for name in rows}
    return rows.map(plain).rename(columns=titles)


def newest(config: RunConfig, decisions: RunDecisions) -> str:
    """The last verdict in one line."""
    if decisions.stopped_at is not None:
        return f":green-badge[stopped at {step_name(decisions.stopped_at)}] {_reason(decisions)}"
    if not decisions.decisions:
        return ":gray-badge[started] Nothing was decided yet."
    mark = "continues" if config.stopping != "none" else "tracing circuits"
    return f":blue-badge[{step_name(decisions.decisions[-1].step)}: {mark}] {_reason(decisions)}"


def _reason(decisions: RunDecisions) -> str:
    return plain(decisions.decisions[-1].verdict.reason) if decisions.decisions else ""


def stopped_by(config: RunConfig, decisions: RunDecisions) -> str:
    """`stopped at step 200 by the rule “When the loss is flat”`; empty where the run went to its last step."""
    if decisions.stopped_at is None:
        return ""
    info = STOPPING_INFOS.get(config.stopping)
    return f"stopped at {step_name(decisions.stopped_at)} by the rule “{info.title if info else config.stopping}”"


def costs(config: RunConfig, decisions: RunDecisions, checkpoints: list[Checkpoint]) -> str:
    """What tracing cost, and what stopping saved at this run's own pace."""
    sentences = []
    if decisions.readings:
        traced = sum(reading.trace_s for reading in decisions.readings)
        refreshed = sum(reading.refresh_s for reading in decisions.readings)
        transcoders = f", and training transcoders on them {duration(refreshed)}" if refreshed else ""
        n = plural(len(decisions.readings), "checkpoint")
        sentences.append(f"Tracing the circuits of {n} took {duration(traced)}{transcoders}.")
        if decides(config):
            waited = duration(decisions.waited_s) if decisions.waited_s >= 0.5 else "0 s"
            sentences.append(f"Training waited {waited} for it.")
    saved = config.n_steps - decisions.stopped_at if decisions.stopped_at is not None else 0
    if saved:
        pace = seconds_a_step({checkpoint.step: checkpoint.state.wall_time_s for checkpoint in checkpoints})
        time = "" if pace is None else f", about {duration(saved * pace)} at this run's own pace"
        sentences.append(f"Stopping saved {count(saved)} of {plural(config.n_steps, 'step')}{time}.")
    return " ".join(sentences)


def _circuits(config: RunConfig, decisions: RunDecisions, checkpoints: list[Checkpoint], n_types: int) -> None:
    """Circuit change so far, and where each type's circuit settled."""
    st.markdown("**Circuit change since the checkpoint before**")
    with room(n_types, _CHANGE_PX):
        if not any(one.change for reading in decisions.readings for one in reading.types):
            st.caption("Shown once two checkpoints are traced.")
        else:
            draw_panels(
                partial(_panels, config, decisions, captures_seen(store(), config.name, decisions)),
                key=f"changes {config.name}", height=_CHANGE_PX,
                alt_text=lambda name: f"How much the {words(name)} circuit of {config.name} changed, by step, and the "
                "noise floor.",
            )  # fmt: skip
    st.caption(FLOOR_CAVEAT)


def _panels(config: RunConfig, decisions: RunDecisions, captures: tuple[Capture, ...]) -> dict[str, Any]:
    settled = settling(captures, config.decisions)
    rows = change_rows(
        readings_as_changes(decisions.readings), to="previous", measure=config.decisions.measure, run=config.name,
        marks={name: marks(one) for name, one in settled.items()},
    )  # fmt: skip
    return change_panels(rows, last_step=config.n_steps, height=_CHANGE_PX)


def _sampling(config: RunConfig, decisions: RunDecisions) -> None:
    if config.curriculum == "uniform":
        return
    rows = weight_rows(decisions.decisions, last_step=_last_step(decisions))
    info = CURRICULUM_INFOS.get(config.curriculum)
    st.markdown(f"**How often each constraint type is sampled** ({plain((info.title if info else '').lower())})")
    with room(1, _SAMPLING_PX):
        if rows.empty:
            st.caption("Evenly so far.")
            return
        draw(
            kept_chart(partial(weights_chart, rows, last_step=config.n_steps, height=_SAMPLING_PX)),
            key=f"weights {config.name}", height=_SAMPLING_PX,
            alt=f"How often {config.name} samples each constraint type, by step.",
        )  # fmt: skip


def _last_step(decisions: RunDecisions) -> int:
    return max((decision.step for decision in decisions.decisions), default=0)
