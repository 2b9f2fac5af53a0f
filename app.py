"""Tracelapse: page config and navigation, nothing else. Start with `streamlit run app.py`."""

import streamlit as st

from pages._ui.errors import guarded
from pages._ui.frame import frame, navigation

st.set_page_config(
    page_title="Tracelapse", page_icon="assets/icon.svg", layout="wide", initial_sidebar_state=260
)  # fmt: skip
page = navigation()
with guarded():
    frame()
    page.run()
