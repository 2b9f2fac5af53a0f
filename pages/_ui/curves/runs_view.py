"""The table of the chosen runs: how each was made and where it ended, which of them are drawn, and where to go on."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

import pandas as pd
import streamlit as st
from streamlit.elements.arrow import DataframeStateInput
from streamlit.elements.lib.column_types import ColumnConfig

from engine.analysis.losses import LOSS_HELP
from engine.domain.corpus import PROBE_KINDS
from engine.domain.numbers import MISSING, rounded
from engine.figures.run_rows import few_probes, run_rows
from pages._ui.curves.scores_view import colors_of
from pages._ui.session import store
from pages._ui.text import plain

_ROW_PX: Final = 30
_MOST_ROWS: Final = 12  # before the table scrolls


def shown_runs(runs: Sequence[str]) -> list[str]:
    """The runs that are checked in the table below; all of them where none is, and before it is drawn."""
    state = st.session_state.get(_key(runs), {})
    rows = state.get("selection", {}).get("rows", []) if len(runs) > 1 else []
    return [run for place, run in enumerate(runs) if place in rows] or list(runs)


def runs_table(scores: Mapping[str, pd.DataFrame]) -> None:
    """A row a run of `scores`."""
    runs = list(scores)
    last = {run: checkpoints[-1] for run in runs if (checkpoints := store().checkpoints(run))}
    losses = {run: told for run, checkpoint in last.items() if (told := store().told_loss(checkpoint)) is not None}
    table = readable(run_rows([store().run(run) for run in runs], last, scores, losses))
    colors = colors_of(runs)
    several = len(runs) > 1
    dots = table[""].where(pd.Series(several, index=table.index), "")
    styled = table.assign(**{"": dots}).style.apply(lambda _: [f"color: {colors[run]}" for run in runs], subset=[""])
    height = _ROW_PX * (min(len(runs), _MOST_ROWS) + 1) + 3
    if several:
        everything: DataframeStateInput = {"selection": {"rows": list(range(len(runs)))}}
        st.dataframe(
            styled, hide_index=True, height=height, row_height=_ROW_PX, column_config=_columns(), placeholder=MISSING,
            key=_key(runs), on_select="rerun", selection_mode="multi-row", selection_default=everything,
        )  # fmt: skip
        st.caption("Uncheck a run to take it out of the charts. Click a column's title to sort.")
    else:
        st.dataframe(
            styled, hide_index=True, height=height, row_height=_ROW_PX, column_config=_columns(), placeholder=MISSING
        )  # fmt: skip
    if few := few_probes(scores):
        st.caption(plain(f"Few probes: {few}."))
    if spans := [f"{run}, {told.span}" for run, told in losses.items() if told.span]:
        st.caption(plain(f"Loss as the trainer logged it: {'; '.join(spans)}."))


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `run_rows` as they are shown: whole percentages, and addresses in the app."""
    shown = table.assign(**{kind: table[kind].map(_whole_percent) for kind in PROBE_KINDS})
    shown.insert(0, "", "●")
    shown["compare"] = [_compared(run, last) for run, last in zip(table["run"], table["last"], strict=True)]
    shown["train"] = [f"/train?{urlencode({'run': run})}" for run in table["run"]]
    return shown.drop(columns="last")


def _compared(run: str, last: str) -> str | None:
    """The address of the last checkpoint beside the base; None for a run that has only that."""
    if last in ("", f"{run}@base"):
        return None
    return f"/compare?{urlencode({'a': f'{run}@base', 'b': last})}"


def _whole_percent(share: float) -> float:
    """0 to 100; what is not quite nothing or not quite all does not read as it."""
    if pd.isna(share) or share in (0.0, 1.0):
        return 100 * share
    return min(max(rounded(100 * share, 0), 1), 99)


def _columns() -> dict[str, ColumnConfig]:
    column = st.column_config
    kinds: dict[str, ColumnConfig] = {
        kind: column.NumberColumn(
            kind, format="%d%%", width="small", help=f"Accuracy at the last checkpoint. {PROBE_KINDS[kind].help}"
        )
        for kind in PROBE_KINDS
    }
    return {
        "": column.TextColumn("", width=24),
        "learning rate": column.NumberColumn(format="%g"),
        "steps": column.NumberColumn(help="Trained so far."),
        "loss": column.NumberColumn(format="%.2f", help=LOSS_HELP),
        **kinds,
        "compare": column.LinkColumn("", display_text="Compare", help="The last checkpoint beside the base model."),
        "train": column.LinkColumn("", display_text="Train", help="The run's page."),
    }


def _key(runs: Sequence[str]) -> str:
    """Of the table: other runs are another table, with every run checked."""
    return f"curves runs {','.join(runs)}"
