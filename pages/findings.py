"""Findings: what a study of many runs says about each question, with its figures, intervals and weak spots."""

import streamlit as st

from engine.domain.numbers import plural
from pages._ui import url
from pages._ui.frame import show
from pages._ui.pickers import pick
from pages._ui.session import store

PAGE = "findings"


def main() -> None:
    studies = {study.spec.name: study for study in store().studies()}
    if not studies:
        st.title("Findings")
        st.info(
            "There is no study yet. A study trains many runs that differ in one thing at a time and answers questions "
            "from all of them. This command makes one from the runs that data/study.yaml lists:"
        )
        st.code("python -m engine study data/study.yaml", language="bash")
        return
    # pandas and Altair are imported only when there is something to draw.
    from pages._ui.findings.view import export, findings, head, summary

    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title("Findings", width="content")
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom", width=420):
            name = _which(list(studies))
            study = studies[name]
            export(store(), study)
    head(store(), study)
    if not study.findings:
        st.info(f"No findings yet; {plural(study.n_runs, 'run')} finished. Run the study’s command again to continue.")
        return
    summary(study)
    findings(study)


def _which(names: list[str]) -> str:
    """The study in the address, else the newest; a box to choose where there are several."""
    if len(names) > 1:
        name = pick(
            PAGE, "study", names, label="Study", what="study", default=names[0], hide_label=True
        )  # fmt: skip
    else:
        name = url.allowed(PAGE, "study", names, names[0], "study")
    url.write(PAGE, study=name)
    return name


show(main)
