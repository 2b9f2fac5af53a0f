"""Home: what this is and why it matters, a picture of it, the three ways in; and the live run while one is watched."""

import streamlit as st

from pages._ui.demo import DEFAULT_A, DEFAULT_B, LIVE_PARAM, demo_runs, live_label, run_live
from pages._ui.frame import ASSETS, show
from pages._ui.home.recent import recent, unreadable


def main() -> None:
    st.html(ASSETS / "home.css")
    if name := st.query_params.get(LIVE_PARAM):
        from pages._ui.home.live import live_view

        live_view(name)
        return
    st.title("Watch circuits form while a language model is fine-tuned")
    st.markdown(
        "Two fine-tuned models can **do equally well on one test and have learned different things**. Tracelapse "
        "draws what happens inside them between prompt and answer, their *circuits*, at every checkpoint."
    )
    runs = demo_runs()
    with st.container(horizontal=True):
        if st.button("See what two runs learned", type="primary", icon=":material/compare_arrows:", disabled=not runs):
            st.switch_page("pages/compare.py", query_params={"a": DEFAULT_A, "b": DEFAULT_B})
        if st.button("Show me in seven steps", icon=":material/slideshow:", disabled=not runs):
            st.switch_page("pages/tour.py", query_params={"step": "1"})
        st.button(
            live_label(), icon=":material/play_arrow:", disabled=not runs, on_click=_go_live, key="run live",
            help="Trains demo-lora again, with its circuits traced at every checkpoint while you watch.",
        )  # fmt: skip
    if runs:
        # pandas and Altair are imported when the words and buttons are on the screen already.
        from pages._ui.home.story import demo_story

        demo_story(runs)
    else:
        st.info("The bundled demo is not here. Create a corpus and train on it: then there is something to compare.")
        st.page_link("pages/corpus.py", label="Create a corpus", icon=":material/add:")
    recent()
    unreadable()


def _go_live() -> None:
    st.query_params[LIVE_PARAM] = run_live()


show(main)
