"""Home: what this is, the bundled story with its figures, and the three ways in."""

import streamlit as st

from pages._ui.demo import DEFAULT_A, DEFAULT_B, demo_runs, run_live
from pages._ui.frame import show
from pages._ui.home.recent import recent, unreadable


def main() -> None:
    st.title("Watch circuits form while a language model is fine-tuned")
    st.markdown(
        "Teach a small language model new words (say that *blarf* means *happy*) and keep snapshots of it while it "
        "learns. Tracelapse opens each snapshot and draws the paths on which the model arrives at its next word: its "
        "*circuit*. Lay two snapshots side by side and see which paths appeared and which vanished, and whether the "
        "model learned what a word **means** or only what to **repeat**."
    )
    runs = demo_runs()
    with st.container(horizontal=True):
        if st.button("See what two runs learned", type="primary", icon=":material/compare_arrows:", disabled=not runs):
            st.switch_page("pages/compare.py", query_params={"a": DEFAULT_A, "b": DEFAULT_B})
        if st.button("Show me in seven steps", icon=":material/slideshow:", disabled=not runs):
            st.switch_page("pages/tour.py", query_params={"step": "1"})
        if st.button("Run it live (under a minute)", icon=":material/play_arrow:", disabled=not runs):
            st.switch_page("pages/train.py", query_params={"run": run_live()})
    if runs:
        # pandas and Altair are imported when the words and buttons are on the screen already.
        from pages._ui.home.story import demo_story

        demo_story(runs)
    else:
        st.info("The bundled demo is not here. Make a corpus and train on it: then there is something to compare.")
        st.page_link("pages/corpus.py", label="Make a corpus", icon=":material/add:")
    recent()
    unreadable()


show(main)
