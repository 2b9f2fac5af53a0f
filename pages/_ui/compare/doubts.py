"""What two graphs leave out, where it is much; what their transcoders have read, where it is little or this prompt."""

import streamlit as st

from engine.analysis.origins import Origins, left_out_note
from engine.domain.diffs import GraphDiff
from engine.workflows.doubts import doubts_of
from pages._ui.compare.selection import Selection
from pages._ui.compare.trace import train_again
from pages._ui.session import store
from pages._ui.text import plain

_LATER = "A corpus of more texts, or a published set chosen in Models, is what helps."
_NOW = "Tracing again trains a new set on more texts: those of the corpus and what the models write."


_ALL = "Settings trace them all."


def doubts(diff: GraphDiff, selection: Selection, known: Origins | None) -> None:
    """Nothing where the graphs have what carries the answer, and their transcoders read enough and not this prompt.

    `known`: where what is explained comes from.
    """
    if left_out := left_out_note(known):
        st.caption(f":orange[:material/warning:] {plain(left_out)}{'' if selection.group else f' {_ALL}'}")
    found = doubts_of(store(), diff.a.key)
    few, more = found.has_read_few, found.can_read_more
    said = f"{found.text} {_LATER}" if few and not more else found.text
    left, right = st.columns([2, 1], vertical_alignment="center") if said else (st.container(), st.container())
    if said:
        left.caption(f":orange[:material/warning:] {plain(said)}", help=_NOW if few and more else None)
    if more and selection.group is None:
        with right:
            train_again(selection, diff)
