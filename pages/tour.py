"""Tour: seven steps over the bundled runs, for people who have never seen a circuit."""

import streamlit as st

from pages._ui.errors import guarded
from pages._ui.frame import show
from pages._ui.session import store
from pages._ui.text import plain
from pages._ui.tour.controls import ASSETS, controls, step_number
from pages._ui.tour.facts import tour
from pages._ui.tour.steps import HEIGHT, STEPS


def main() -> None:
    st.html(ASSETS / "tour.css")
    found = tour(store())
    if found is None:
        st.title("Tour")
        st.info(
            "The tour walks through the bundled demo, which is not here. Put it back with `git checkout data/demo`, "
            "or build it with `python -m engine demo build`."
        )
        st.page_link("pages/train.py", label="Or train a run of your own", icon=":material/model_training:")
        return
    number = step_number(len(STEPS))
    page, params = "compare", dict[str, str]()
    with guarded():  # what fails is told in its place: the way on stays
        step = STEPS[number - 1](found)
        page, params = step.page, dict(step.params)
        with st.container(key="tour_words"):
            st.title(plain(step.words.title), anchor=False)
            st.markdown("\n\n".join(plain(sentence) for sentence in step.words.sentences))
        with st.container(height=HEIGHT, border=False, key="tour_figure"):
            step.figure()
    controls(number, len(STEPS), page=page, params=params)


show(main)
