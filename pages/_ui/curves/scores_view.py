"""Learning curves of one or several runs: the loss above, the probes below; a point opens its checkpoint."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from engine.domain.corpus import PROBE_KINDS, ProbeKind
from engine.domain.errors import NotFound
from engine.figures.charts import curve_chart, loss_chart
from engine.figures.tables import to_csv
from engine.store import Store
from pages._ui import url
from pages._ui.cached import scores as run_scores
from pages._ui.chart_export import take_away
from pages._ui.session import store
from pages._ui.text import plain, words


def scores_of(store: Store, runs: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Probe scores by run; a run whose corpus is gone says so and is left out."""
    scores = {}
    for run in runs:
        try:
            scores[run] = run_scores(store, run)
        except NotFound as error:
            st.warning(plain(f"{run}: {error}"), icon=":material/warning:")
    return scores


def charts(page: str, scores: Mapping[str, pd.DataFrame]) -> None:
    """Loss, curves by constraint type, and what a click on a point leads to."""
    losses = {run: store().losses(run) for run in scores}
    named = " and ".join(scores)
    loss = loss_chart(losses, height=120)
    if any(log.step for log in losses.values()):
        st.altair_chart(loss, key="curves loss", alt=f"Training loss of {named} over steps.")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        kinds = _kinds(page)
        chart = curve_chart(scores, kinds=kinds, width=560, height=230)
        take_away({"loss": loss, "learning-curves": chart}, key="take away curves")
    picked = st.altair_chart(
        chart, key="curves chart", on_select="rerun", width="content",
        alt=f"Share of probes that {named} answer right, by constraint type, probe kind and step.",
    )  # fmt: skip
    _open(clicked(picked.get("selection", {}).get("checkpoint", [])))


def _kinds(page: str) -> list[ProbeKind]:
    """Which probe kinds are drawn; all but a smaller choice stay out of the address."""
    key, everything = f"{page} kinds", ",".join(PROBE_KINDS)
    given = (url.read(page, "kinds") or everything).split(",")
    st.session_state[key] = [kind for kind in PROBE_KINDS if kind in given]

    def write() -> None:
        url.write_unless(page, "kinds", ",".join(k for k in PROBE_KINDS if k in st.session_state[key]), everything)

    st.pills(
        "Probe kinds", PROBE_KINDS, selection_mode="multi", label_visibility="collapsed", key=key, on_change=write,
    )  # fmt: skip
    return list(st.session_state[key])


def clicked(points: Sequence[Mapping[str, object]]) -> tuple[str, int] | None:
    """(run, step) of the point that was clicked; None where none was."""
    for point in points:
        run, step = point.get("run"), point.get("step")
        if isinstance(run, str) and isinstance(step, int | float):
            return run, int(step)
    return None


def _open(point: tuple[str, int] | None) -> None:
    """A clicked point opens its checkpoint in Compare, beside the base it came from."""
    checkpoint = next((c for c in store().checkpoints(point[0]) if c.step == point[1]), None) if point else None
    if checkpoint is None:
        st.caption("Click a point to open its checkpoint in Compare. Bands are 95 % intervals (Wilson).")
        return
    st.switch_page("pages/compare.py", query_params={"a": f"{checkpoint.run}@base", "b": checkpoint.ref})


def table(scores: Mapping[str, pd.DataFrame]) -> None:
    """The figures behind the curves, and their download."""
    rows = pd.concat([frame.assign(run=run) for run, frame in scores.items()], ignore_index=True)
    rows = rows[["run", *(column for column in rows.columns if column != "run")]]
    with st.expander("The figures of the probes", icon=":material/table_rows:"):
        st.dataframe(
            rows.assign(constraint_type=rows["constraint_type"].map(words)), hide_index=True, height=260,
            column_config={
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("accuracy", "low", "high", "mean_p", "mean_rank", "logit_diff")
            },
        )  # fmt: skip
    st.download_button(
        "Download CSV", lambda: to_csv(rows), file_name="learning-curves.csv", mime="text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip
