"""What was seen and decided while a run trained: the newest verdict, each capture, the sampling, what it cost."""

import altair as alt
import pandas as pd
import streamlit as st

from engine.analysis.rests import rests
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, RunDecisions
from engine.domain.runs import Checkpoint, RunConfig
from engine.figures.change_charts import change_chart, change_rows, weights_chart
from engine.figures.change_tables import capture_rows, looks_as_changes, seconds_a_step, weight_rows
from pages._ui.cached import draw
from pages._ui.curves.change_data import captures_seen, stamp_of
from pages._ui.saturation_text import marks
from pages._ui.session import store
from pages._ui.text import duration, plain


def decides(config: RunConfig) -> bool:
    """Whether anything is looked at or decided while this run trains."""
    return config.watch or config.stopping != "none" or config.curriculum != "uniform"


def decisions_view(config: RunConfig, decisions: RunDecisions) -> None:
    """All that was seen and decided so far; nothing where nothing was."""
    if not (decisions.looks or decisions.decisions):
        return
    checkpoints = store().checkpoints(config.name)
    _circuits(config, decisions, checkpoints)
    _sampling(config, decisions)
    st.caption(costs(config, decisions, checkpoints))
    with st.expander("Checkpoint by checkpoint", icon=":material/table_rows:"):
        rows = capture_rows(decisions, measure=config.decisions.measure)
        st.table(readable(rows), hide_index=True, border="horizontal")


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `capture_rows` with texts that Markdown shows as they are."""
    return rows.map(plain).rename(columns=str.capitalize)


def newest(config: RunConfig, decisions: RunDecisions) -> str:
    """The last verdict in one line."""
    if decisions.stopped_at is not None:
        return f":green-badge[stopped at step {decisions.stopped_at}] {_reason(decisions)}"
    if not decisions.decisions:
        return ":gray-badge[watching] The first checkpoint is being looked at."
    mark = "goes on" if config.stopping != "none" else "watching"
    return f":blue-badge[step {decisions.decisions[-1].step}: {mark}] {_reason(decisions)}"


def _reason(decisions: RunDecisions) -> str:
    return plain(decisions.decisions[-1].verdict.reason) if decisions.decisions else ""


def stopped_by(config: RunConfig, decisions: RunDecisions) -> str:
    """`stopped at step 200 by “When the circuits have formed”`; empty where the run went to its last step."""
    if decisions.stopped_at is None:
        return ""
    info = STOPPING_INFOS.get(config.stopping)
    return f"stopped at step {decisions.stopped_at} by “{info.title if info else config.stopping}”"


def costs(config: RunConfig, decisions: RunDecisions, checkpoints: list[Checkpoint]) -> str:
    """What looking cost, and what stopping saved at this run's own pace."""
    told = []
    if decisions.looks:
        traced = sum(look.trace_s for look in decisions.looks)
        refreshed = sum(look.refresh_s for look in decisions.looks)
        transcoders = f", training transcoders on them {duration(refreshed)}" if refreshed else ""
        n = len(decisions.looks)
        waited = f"{duration(decisions.waited_s)}" if decisions.waited_s >= 0.5 else "0 s"
        beside = f", beside training, which waited {waited} for it" if decides(config) else ""
        told.append(
            f"Looking at {n} checkpoint{'' if n == 1 else 's'} took {duration(traced)} of tracing{transcoders}{beside}."
        )
    saved = config.n_steps - decisions.stopped_at if decisions.stopped_at is not None else 0
    if saved:
        pace = seconds_a_step({checkpoint.step: checkpoint.state.wall_time_s for checkpoint in checkpoints})
        time = "" if pace is None else f", about {duration(saved * pace)} at this run's own pace"
        told.append(f"Stopping saved {saved} of {config.n_steps} steps{time}.")
    return " ".join(told)


def _circuits(config: RunConfig, decisions: RunDecisions, checkpoints: list[Checkpoint]) -> None:
    """Circuit change so far, and where each type's circuit came to rest."""
    if not any(one.change for look in decisions.looks for one in look.types):
        return
    last_step, width = max(checkpoint.step for checkpoint in checkpoints), 370
    st.markdown("Change of the circuits since the checkpoint before")
    draw(
        lambda: _change_chart(config, decisions, last_step, width),
        "decisions", str(store().workspace), config.name, stamp_of(decisions), last_step, width,
        key=f"changes {config.name}", alt=f"How much the circuits of {config.name} changed, by step, and the noise.",
    )  # fmt: skip


def _change_chart(config: RunConfig, decisions: RunDecisions, last_step: int, width: int) -> alt.FacetChart:
    quiet = rests(captures_seen(store(), config.name, decisions), config.decisions)
    rows = change_rows(
        looks_as_changes(decisions.looks), to="previous", measure=config.decisions.measure, run=config.name,
        marks={name: marks(one) for name, one in quiet.items()},
    )  # fmt: skip
    return change_chart(rows, last_step=last_step, width=width, height=110)


def _sampling(config: RunConfig, decisions: RunDecisions) -> None:
    rows = weight_rows(decisions.decisions, last_step=_last_step(decisions))
    if rows.empty:
        return
    info = CURRICULUM_INFOS.get(config.curriculum)
    st.markdown(f"How often each constraint type is sampled: {plain((info.title if info else '').lower())}")
    draw(
        lambda: weights_chart(rows, last_step=int(rows["step"].max())),
        "weights", str(store().workspace), config.name, stamp_of(decisions),
        key=f"weights {config.name}", alt=f"How often {config.name} samples each constraint type, by step.",
    )  # fmt: skip


def _last_step(decisions: RunDecisions) -> int:
    return max((decision.step for decision in decisions.decisions), default=0)
