"""What every page has around it: the navigation, the logo, the theme's few rules."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from pages._ui.errors import guarded
from pages._ui.jobs.state import new_page_run

ASSETS = Path(__file__).parents[2] / "assets"
# What is looked at stands in the bar itself; what one learns from, and what one brings, each in a menu.
MENUS = {
    "": {"home": "Home", "compare": "Compare", "curves": "Learning curves", "circuits": "Circuits"},
    "Learn": {"tour": "Tour", "methods": "Methods", "findings": "Findings"},
    "Your own": {"models": "Models & runs", "train": "Train", "corpus": "Corpus"},
}
PAGES = {name: title for pages in MENUS.values() for name, title in pages.items()}  # file in pages/ -> title
_FRAMED = "drawn within app.py"


def navigation() -> Page:
    """The pages, across the top: all the width below is theirs."""
    menus = {
        menu: [st.Page(f"pages/{name}.py", title=title, default=name == "home") for name, title in pages.items()]
        for menu, pages in MENUS.items()
    }
    return st.navigation(menus, position="top")


def frame() -> None:
    """Drawn before each page."""
    st.session_state[_FRAMED] = True
    st.logo(str(ASSETS / "logo.svg"), size="large")
    st.html(ASSETS / "theme.css")
    new_page_run()


def show(main: Callable[[], None]) -> None:
    """Draw a page, and what goes wrong in it as a message.

    When the first request of a server's life is a bookmark, Streamlit has not seen `app.py` yet and runs the file in
    pages/ alone. Calling st.navigation ends that for good; the rerun then comes through `app.py`.
    """
    if _FRAMED not in st.session_state:
        navigation()
        st.rerun()
    with guarded():
        main()
