"""Compare: two checkpoints, one prompt; two linked graphs, what differs, and where in training they stand."""

import streamlit as st

from pages._ui.compare_data import default_sides, difference
from pages._ui.compare_view import beside, choose, differences, graphs, sentence
from pages._ui.frame import show
from pages._ui.session import store
from pages._ui.trace_here import trace_here

PAGE = "compare"


def main() -> None:
    runs = [info.config.name for info in store().runs() if info.steps]
    if not runs:
        st.title("Compare")
        st.info("There is no checkpoint to compare yet. Train a run: its base and each checkpoint appear here.")
        st.page_link("pages/train.py", label="Train a run", icon=":material/model_training:")
        return
    a, b = default_sides(store(), runs)
    selection, mode, settings = choose(PAGE, runs, default_a=a, default_b=b)
    diff = difference(store(), selection, settings)
    if diff is None:
        trace_here(selection)
        return
    sentence(diff, selection)
    if mode == "Table":
        differences(diff, selection, height=520)
        return
    node = graphs(diff, selection, mode)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        differences(diff, selection, height=166)
    with right:
        beside(diff, selection, node, height=166)


show(main)
