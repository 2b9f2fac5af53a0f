"""Learning curves: each constraint type and probe kind over training, the loss above, the circuits below."""

import streamlit as st

from pages._ui import url
from pages._ui.curves.change_view import how_circuits_changed, pick_run_and_kind
from pages._ui.curves.learned_view import where_it_was_learned
from pages._ui.curves.measure import offer_to_measure
from pages._ui.curves.runs_view import runs_table, shown_runs
from pages._ui.curves.scores_view import charts, scores_of, table
from pages._ui.frame import show
from pages._ui.opening import first_runs
from pages._ui.pickers import pick_runs
from pages._ui.session import store

PAGE = "curves"


def main() -> None:
    runs = [info.config.name for info in store().runs() if info.steps]
    if not runs:
        st.title("Learning curves")
        st.info("There is no run yet. Train one: its probes are measured at every checkpoint and drawn here.")
        st.page_link("pages/train.py", label="Train a run", icon=":material/model_training:")
        return
    chosen = pick_runs(PAGE, runs, default=first_runs())
    if not chosen:
        st.info("Choose at least one run above.")
        return
    url.write(PAGE, runs=",".join(chosen))
    scores = scores_of(store(), chosen)
    charts(PAGE, scores, shown_runs(list(scores)))
    if all(frame.empty for frame in scores.values()):
        offer_to_measure(list(scores))
        runs_table(scores)
        return
    runs_table(scores)
    offer_to_measure([run for run, frame in scores.items() if frame.empty])
    table(scores)
    measured = {run: frame for run, frame in scores.items() if not frame.empty}
    last_step = max(int(frame["step"].max()) for frame in measured.values())
    run, kind = pick_run_and_kind(PAGE, measured)
    where_it_was_learned(PAGE, run, kind, last_step=last_step)
    how_circuits_changed(PAGE, run, kind, last_step=last_step)


show(main)
