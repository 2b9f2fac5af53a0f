"""What each stopping rule would have done on a stored run."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.decisions import replay
from engine.domain.decisions import Capture, DecisionSettings
from engine.domain.numbers import MISSING, count, duration, share_of, step_name
from engine.figures.change_tables import seconds_a_step, stopping_rows
from pages._ui.fields import number_field
from pages._ui.session import store
from pages._ui.text import plain


def stopping_table(page: str, known: Sequence[Capture], run: str, settings: DecisionSettings) -> None:
    """A row a rule: where it stops, the accuracy then and at the end, what it saves, why."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        with st.container(width="stretch"):
            st.markdown("**What each stopping rule would have done on this run**")
            st.caption(
                f"Each rule is replayed checkpoint by checkpoint. Accuracy is that of {settings.probe_kind} probes. "
                "A rule that needs circuits sees them one checkpoint late, because they are traced during training."
            )
        with st.container(width=190):
            drop = number_field(
                page, "flat", "Flat loss: falls less than", 0.0, 1.0, settings.loss_drop, step=0.01,
                explain="From one checkpoint to the next, as a share of the smoothed loss: 0.02 is 2%.",
            )  # fmt: skip
    settings = settings.model_copy(update={"loss_drop": drop})
    rows = stopping_rows(replay(known, settings), known, kind=settings.probe_kind)
    st.table(readable(rows, _pace(run), known[-1].step if known else 0), hide_index=True, border="horizontal")


def readable(rows: pd.DataFrame, pace_s: float | None, last_step: int) -> pd.DataFrame:
    """The rows of `stopping_rows` as people read them. `pace_s`: seconds a step, where it is known."""

    def saved(steps: int) -> str:
        if not steps:
            return MISSING
        time = "" if pace_s is None else f", about {duration(steps * pace_s)}"
        return f"{count(steps)} of {count(last_step)}{time}"

    def right(column: str) -> list[str]:
        return [share_of(share, n) for share, n in zip(rows[column], rows["probes"], strict=True)]

    return pd.DataFrame(
        {
            "Rule": rows["rule"].map(plain),
            "Stops at": ["the end" if pd.isna(step) else step_name(int(step)) for step in rows["stops at"]],
            "Accuracy then": right("accuracy then"),
            "Accuracy at the end": right("accuracy at the end"),
            "Steps saved": rows["steps saved"].map(saved),
            "Why": rows["why"].map(plain),
        }
    )


def _pace(run: str) -> float | None:
    return seconds_a_step({checkpoint.step: checkpoint.state.wall_time_s for checkpoint in store().checkpoints(run)})
