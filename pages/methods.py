"""Methods: ways to fine-tune compared, by task and at equal numbers of parameters."""

import streamlit as st

from pages._ui import url
from pages._ui.frame import show
from pages._ui.pickers import pick
from pages._ui.session import store

PAGE = "methods"
OWN = "your runs"  # no name of a study: it has a blank


def main() -> None:
    studies = {study.spec.name: study for study in store().studies() if study.spec.asks == "methods"}
    # pandas and Altair are imported only when there is something to draw.
    if not studies and not store().runs():
        _nothing()
        return
    from pages._ui.methods.data import own_runs, runs_of_study
    from pages._ui.methods.view import comparison, own_sentence, study_sentence

    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title("Methods", width="content")
        with st.container(width=300):
            source = pick(
                PAGE, "from", [*studies, OWN], label="Runs of", what="study", default=[*studies, OWN][0],
                hide_label=True,
            )  # fmt: skip
    url.write(PAGE, **{"from": source})
    study = studies.get(source)
    rows = own_runs(store()) if study is None else runs_of_study(store(), study)
    if rows is None:
        return
    if rows.empty:
        _nothing_finished(source)
        return
    if study is None:
        own_sentence(rows)
    else:
        study_sentence(study, rows)
    comparison(PAGE, rows, study)


def _nothing() -> None:
    st.title("Methods")
    st.info(
        "There is nothing to compare yet. Train one corpus with several methods and several seeds each, or run a "
        "study that also searches each method’s learning rate:"
    )
    st.code("python -m engine study data/methods.yaml", language="bash")
    st.page_link("pages/train.py", label="Train a run", icon=":material/model_training:")


def _nothing_finished(source: str) -> None:
    if source == OWN:
        st.info("None of your runs has finished with probes that can be compared.")
        st.page_link("pages/train.py", label="Train a run", icon=":material/model_training:")
    else:
        st.info("No run of this study has finished yet. Run its command again to continue.")


show(main)
