"""Tracelapse: page config and navigation, nothing else. Start with `streamlit run app.py`."""

import streamlit as st

from pages._ui.errors import guarded
from pages._ui.frame import PAGES, frame, navigation
from pages._ui.jobs.indicator import job_indicator
from pages._ui.serving import open_browser, page_routes

app = st.App(__file__, routes=page_routes(PAGES), lifespan=open_browser)  # what `streamlit run` serves

if __name__ == "__main__":  # a visitor's run of the script; the server only imports it
    st.set_page_config(
        page_title="Tracelapse", page_icon="assets/icon.svg", layout="wide", initial_sidebar_state="collapsed"
    )  # fmt: skip
    page = navigation()
    with guarded():
        frame()
        page.run()
        job_indicator()
