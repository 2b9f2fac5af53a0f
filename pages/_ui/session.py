"""The one store and the one job manager of this process. Kept by Streamlit, never in a module global."""

from typing import NoReturn

import streamlit as st
from streamlit.errors import StreamlitAPIException

from engine.jobs import JobManager
from engine.store import Store


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The workspace named by TRACELAPSE_HOME, else data/runs, with the bundled demo behind it."""
    return Store.open()


@st.cache_resource(show_spinner=False)
def jobs() -> JobManager:
    """Background work, shared by all tabs. Jobs that a crash left behind show as interrupted."""
    return JobManager(store())


def again() -> NoReturn:
    """Draw the fragment that is being drawn once more; where the whole page is being drawn, the page."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:
        st.rerun()
    raise AssertionError("a rerun does not return")
