"""Below where training acted: which of its examples taught B the answer, or the constraint type."""

import streamlit as st

from engine.analysis.taught import taught_sentence, taught_table
from engine.domain.errors import InputError
from engine.domain.jobs import FindExamples
from engine.domain.numbers import signed
from engine.workflows.queries import known_examples, stored_taught
from pages._ui.compare.selection import Selection
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.takes import on_this_model
from pages._ui.text import both_ends, plain, words

FIRST = 10  # sentences shown; the rest can be scrolled to
_PUSH = st.column_config.NumberColumn(
    "push",
    help="The answer's gradient times that of the sentence's loss, summed over the run's checkpoints (TracIn), as a "
    "share of the strongest. Above zero: training on it raised the answer.",
)


def which_examples(selection: Selection) -> None:
    """What is stored, or how to get it, or why it cannot be known."""
    b = selection.b
    if not b.step:
        return  # nothing was trained
    constraint_type = selection.group.constraint_type if selection.group else ""
    found = stored_taught(store(), b.ref, selection.prompt, constraint_type=constraint_type)
    if found is None:
        _not_measured(selection, constraint_type)
        return
    st.subheader("Which examples taught it?")
    st.markdown(plain(taught_sentence(found)))
    rows = taught_table(found)[["push", "sentence", "teaches"]]
    height = 38 + 35 * min(FIRST, len(rows))
    written = rows.style.format({"push": signed})  # type: ignore[dict-item]  # a column's own format has no true minus
    st.dataframe(written, height=height, hide_index=True, column_config={"push": _PUSH})


def _not_measured(selection: Selection, constraint_type: str) -> None:
    asked = (
        f"“{both_ends(selection.prompt)}”" if selection.prompt else f"the probes of the type {words(constraint_type)}"
    )
    with st.container(border=True):
        st.subheader("Which examples taught it?")
        try:
            known_examples(store(), selection.b.run)
        except InputError as error:
            st.info(plain(str(error)))
            return
        st.markdown(
            f"See which training sentences brought **{plain(selection.b.ref)}** to what it answers on {plain(asked)}."
        )
        request = FindExamples(checkpoint=selection.b.ref, prompt=selection.prompt, constraint_type=constraint_type)
        takes = on_this_model(store(), selection.a.run, "Half a minute", request)
        job_button(
            request,
            label="Find the examples", key="taught", icon=":material/school:",
            note=f"{takes}. You can leave this page; the result is kept.",
        )  # fmt: skip
