"""Tracelapse: page config and navigation, nothing else. Start with `streamlit run app.py`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before the imports, which an older Python cannot read
    sys.exit("Tracelapse needs Python 3.11 or newer; this is " + sys.version.split()[0])

import streamlit as st

from engine.jobs.warm_up import page_being_drawn
from pages._ui.doorkeeper import doorkeepers
from pages._ui.errors import guarded
from pages._ui.frame import PAGES, frame, navigation
from pages._ui.jobs.indicator import job_indicator
from pages._ui.serving import page_routes, start_up

# What `streamlit run` serves.
app = st.App(__file__, routes=page_routes(PAGES), lifespan=start_up, middleware=doorkeepers())

if __name__ == "__main__":  # a visitor's run of the script; the server only imports it
    st.set_page_config(
        page_title="Tracelapse", page_icon="assets/icon.svg", layout="wide", initial_sidebar_state="collapsed"
    )  # fmt: skip
    page = navigation()
    with guarded(), page_being_drawn():
        frame()
        page.run()
        job_indicator()
