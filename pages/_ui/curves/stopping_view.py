"""What each stopping rule would have done on a run that is there."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.decisions import replay
from engine.domain.decisions import Capture, DecisionSettings
from engine.figures.change_tables import seconds_a_step, stopping_rows
from pages._ui.fields import number_field
from pages._ui.session import store
from pages._ui.text import duration, plain


def stopping_table(page: str, known: Sequence[Capture], run: str, settings: DecisionSettings) -> None:
    """A row a rule: where it stops, what is known then and at the end, what it saves, why."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        with st.container(width="stretch"):
            st.markdown("**What each stopping rule would have done on this run**")
            st.caption(
                f"Asked checkpoint by checkpoint, as if it were training now. “Right” is the share of "
                f"{settings.probe_kind} probes. A rule that looks at circuits sees them one checkpoint late, because "
                "they are traced beside training."
            )
        with st.container(width=190):
            drop = number_field(
                page, "flat", "Loss is flat below", 0.0, 1.0, settings.loss_drop, step=0.01,
                explain="Fall of the smoothed loss from one checkpoint to the next, as a share of it.",
            )  # fmt: skip
    settings = settings.model_copy(update={"loss_drop": drop})
    rows = stopping_rows(replay(known, settings), known, kind=settings.probe_kind)
    st.table(readable(rows, _pace(run), known[-1].step if known else 0), hide_index=True, border="horizontal")


def readable(rows: pd.DataFrame, pace_s: float | None, last_step: int) -> pd.DataFrame:
    """The rows of `stopping_rows` as people read them. `pace_s`: seconds a step, where it is known."""

    def saved(steps: int) -> str:
        if not steps:
            return "–"
        time = "" if pace_s is None else f", about {duration(steps * pace_s)}"
        return f"{steps} of {last_step}{time}"

    return pd.DataFrame(
        {
            "Rule": rows["rule"].map(plain),
            "Stops at": ["the end" if pd.isna(step) else f"step {step}" for step in rows["stops at"]],
            "Right then": rows["right then"].map(_share),
            "Right at the end": rows["right at the end"].map(_share),
            "Steps saved": rows["steps saved"].map(saved),
            "Why": rows["why"].map(plain),
        }
    )


def _share(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{100 * value:.0f} %"


def _pace(run: str) -> float | None:
    return seconds_a_step({checkpoint.step: checkpoint.state.wall_time_s for checkpoint in store().checkpoints(run)})
