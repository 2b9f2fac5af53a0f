"""What the transcoders of two graphs have read, where that is little or the shown prompt itself."""

import streamlit as st

from engine.domain.diffs import GraphDiff
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.models import TranscoderMeta
from engine.figures.fit_text import SEEN, few_read
from engine.workflows.texts import was_read
from engine.workflows.transcoders import outgrown
from pages._ui.compare.selection import Selection
from pages._ui.compare.trace import train_again
from pages._ui.session import store
from pages._ui.text import plain

_LATER = "A corpus of more texts, or a published set chosen in Models, is what helps."
_NOW = "Tracing again trains a new set on more texts: those of the corpus and what the models write."


def doubts(diff: GraphDiff, selection: Selection) -> None:
    """Nothing where the transcoders have read enough and not this prompt."""
    key = diff.a.key
    meta = next((one for one in store().transcoder_sets() if one.name == key.transcoders), None)
    if meta is None:
        return
    seen, more = _of_texts(meta, key.prompt)
    few = few_read(meta)
    later = _LATER if few and not more else ""
    said = " ".join(filter(None, (few, SEEN if seen else "", later)))
    left, right = st.columns([4, 1.4], vertical_alignment="center") if said else (st.container(), st.container())
    if said:
        left.caption(f":orange[:material/warning:] {plain(said)}", help=_NOW if few and more else None)
    if more and selection.group is None:
        with right:
            train_again(selection)


def _of_texts(meta: TranscoderMeta, prompt: str) -> tuple[bool, bool]:
    """Whether the set has read the prompt; whether there is more for it to read."""
    try:
        return was_read(store(), meta, prompt), outgrown(store(), meta)
    except (NotFound, InputError, Damaged):  # a run that it was trained on is gone
        return False, False
