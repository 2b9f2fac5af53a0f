"""What the transcoders of two graphs have read, where that is little or the shown prompt itself."""

import streamlit as st

from engine.domain.diffs import GraphDiff
from engine.workflows.doubts import doubts_of
from pages._ui.compare.selection import Selection
from pages._ui.compare.trace import train_again
from pages._ui.session import store
from pages._ui.text import plain

_LATER = "A corpus of more texts, or a published set chosen in Models, is what helps."
_NOW = "Tracing again trains a new set on more texts: those of the corpus and what the models write."


def doubts(diff: GraphDiff, selection: Selection) -> None:
    """Nothing where the transcoders have read enough and not this prompt."""
    found = doubts_of(store(), diff.a.key)
    few, more = found.has_read_few, found.can_read_more
    said = f"{found.text} {_LATER}" if few and not more else found.text
    left, right = st.columns([2, 1], vertical_alignment="center") if said else (st.container(), st.container())
    if said:
        left.caption(f":orange[:material/warning:] {plain(said)}", help=_NOW if few and more else None)
    if more and selection.group is None:
        with right:
            train_again(selection, diff)
