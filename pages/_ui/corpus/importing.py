"""A corpus from a file of the user's own: checked as soon as it is chosen, imported when asked for."""

from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.corpus import check_corpus, parse_corpus
from engine.corpus.csv_rows import PAIR_REQUIRED, REQUIRED
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.errors import CorpusRefused
from engine.domain.names import check_name
from pages._ui import url
from pages._ui.corpus.tables import show_counts, summary
from pages._ui.errors import guarded, show
from pages._ui.forms import free_name
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.text import plain

_ROUND, _IMPORTED = "corpus upload round", "corpus imported"
FORMATS = f"""**CSV** (comma, semicolon or tab) with the columns

- {", ".join(f"`{name}`" for name in REQUIRED)} for a training example, whose text contains the meaning;
- also `kind` ({", ".join(PROBE_KINDS)}) and `answer` for a probe, if wanted `foils` (divided by `|`) and `known_text`,
  the same prompt with a word that the base model knows;
- {", ".join(f"`{name}`" for name in PAIR_REQUIRED)} for a prompt pair;
- if wanted `blank` (true or false): whether one stands between a prompt and its answer. Else it is as in the training
  texts that have a `prompt`, or as writing has it.

Examples may also be as training scripts have them: `prompt` and `completion`, `text` alone, or, in JSON, `messages` (a
list of `role` and `content`, which the model's chat template makes a text of).

One file may hold all of them. **JSONL** has the same fields, one object a line, or one array of objects. UTF-8 and
UTF-16 are read; characters that nobody sees are refused, as are accents written in two ways in one file. What this
page downloads, it also imports."""


@guarded()
def file_to_import() -> UploadedFile | None:
    """The file that is chosen, if any."""
    st.caption("Training examples, probes or prompt pairs, one per line, as CSV or JSONL.")
    file = st.file_uploader(
        "Corpus file", type=["csv", "tsv", "jsonl", "json"], label_visibility="collapsed",
        key=f"corpus file {st.session_state.get(_ROUND, 0)}",
    )  # fmt: skip
    with st.popover("File format", icon=":material/help:", type="tertiary"):
        st.markdown(FORMATS)
    return file


@guarded()
def import_view(page: str, file: UploadedFile, taken: list[str]) -> None:
    """What the file holds and the button to import it; or every reason why it cannot be."""
    found = _parsed(file.getvalue(), file.name)
    if isinstance(found, CorpusRefused):
        show(found)
        return
    st.markdown(f"**{plain(file.name)}** is ready to import: {summary(found)}.")
    show_counts(found)
    if notes := check_corpus(found):
        st.caption("\n".join(["Good to know:", *(f"- {plain(note)}" for note in notes)]))
    stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in Path(file.name).stem.lower()).strip("-")
    name = st.text_input("Name", value=free_name(stem or "my-corpus", taken), key=f"upload name {file.file_id}")
    if st.button("Import corpus", type="primary", icon=":material/upload:"):
        store().save_corpus(replace(found, name=check_name(name)))
        st.session_state[_IMPORTED] = name
        st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1  # another uploader, without the file
        url.write(page, corpus=name)
        st.rerun()


def imported_note(corpus: Corpus) -> None:
    """Says what was imported, while the corpus that was is shown."""
    if st.session_state.get(_IMPORTED) != corpus.name:
        st.session_state.pop(_IMPORTED, None)
        return
    st.success(f"Imported **{plain(corpus.name)}**: {summary(corpus)}.", icon=":material/check:")
    if corpus.examples:
        st.page_link(
            "pages/train.py", label="Train a run on it", icon=":material/model_training:",
            query_params={"corpus": corpus.name},
        )  # fmt: skip


@kept("Reading the file …")
def _parsed(content: bytes, source: str) -> Corpus | CorpusRefused:
    """Parsed once, not at every rerun. A refusal is a result too: what raises is not cached."""
    try:
        return parse_corpus(content, source, "imported")
    except CorpusRefused as refused:
        return refused
