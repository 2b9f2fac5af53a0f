"""Compare: two checkpoints, one prompt or many; two linked graphs, what differs, and any part of it looked into."""

import streamlit as st

from pages._ui.compare.choice import choose
from pages._ui.compare.workbench import workbench
from pages._ui.frame import show
from pages._ui.opening import first_sides
from pages._ui.session import store


def main() -> None:
    runs = [info.config.name for info in store().runs() if info.steps]
    if not runs:
        st.title("Compare")
        st.info("There is no checkpoint to compare yet. Train a run: its base and each checkpoint appear here.")
        st.page_link("pages/train.py", label="Train a run", icon=":material/model_training:")
        return
    a, b = first_sides()
    workbench(*choose(runs, default_a=a, default_b=b))


show(main)
