"""Which corpora a base model can be trained on, and why not on the others."""

import streamlit as st

from engine.domain.models import ModelSpec
from engine.domain.numbers import plural
from engine.store.infos import CorpusInfo
from pages._ui.session import store
from pages._ui.text import plain
from pages._ui.unknown_words import why_unread


def corpora_for(spec: ModelSpec) -> dict[str, CorpusInfo]:
    """Those that can be trained on, by name; says what is wrong with the others. Empty: it says what to do."""
    infos = store().corpora()
    if not infos:
        st.info("There is no corpus to train on yet.", icon=":material/info:")
        st.page_link("pages/corpus.py", label="Create a corpus", icon=":material/add:")
        return {}
    wrong = {info.name: reason for info in infos if (reason := _unfit(spec, info))}
    if wrong:
        _show_others(wrong, n_offered=len(infos) - len(wrong))
    return {info.name: info for info in infos if info.name not in wrong}


def _unfit(spec: ModelSpec, info: CorpusInfo) -> str:
    """Why the model cannot be trained on the corpus, in Markdown; empty where it can."""
    if not info.n_examples:
        return "has no training examples."
    return why_unread(spec, info)


def _show_others(wrong: dict[str, str], *, n_offered: int) -> None:
    reasons = [f"- **{plain(name)}** {reason}" for name, reason in wrong.items()]
    if not n_offered:
        st.info("This base model cannot be trained on any corpus here.", icon=":material/info:")
        st.page_link("pages/corpus.py", label="Create a corpus", icon=":material/add:")
    elif (wanted := st.query_params.get("corpus")) in wrong:
        st.warning(f"**{plain(wanted)}** {wrong[wanted]} Choose another corpus or base model.")
        reasons = [reason for name, reason in zip(wrong, reasons, strict=True) if name != wanted]
    if reasons:
        with st.expander(f"{plural(len(reasons), 'corpus', 'corpora')} not offered", icon=":material/block:"):
            st.markdown("\n".join(reasons))
