"""A corpus from a file of the user's own: checked as soon as it is chosen, imported when asked for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.corpus import Columns, Table, check_corpus, joined, parse_corpus, read_table
from engine.corpus.format import EXAMPLE_CSV, format_text
from engine.domain.corpus import Corpus
from engine.domain.errors import CorpusRefused, InputError
from engine.domain.names import check_name
from pages._ui import url
from pages._ui.corpus.columns_form import FIRST_ROWS, columns_form
from pages._ui.corpus.tables import PAIRS, is_task, show_counts, summary, tables, titles
from pages._ui.errors import guarded, show
from pages._ui.forms import free_name
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.text import plain

_ROUND, _IMPORTED = "corpus upload round", "corpus imported"


@guarded()
def file_to_import() -> UploadedFile | None:
    """The file that is chosen, if any."""
    st.caption("Training examples, probes or prompt pairs, as CSV, JSONL, JSON or Parquet. Columns may have any names.")
    return st.file_uploader(
        "Corpus file", type=["csv", "tsv", "jsonl", "json", "parquet"], label_visibility="collapsed",
        key=f"corpus file {st.session_state.get(_ROUND, 0)}",
    )  # fmt: skip


@guarded()
def import_view(page: str, file: UploadedFile, taken: list[str]) -> None:
    """What the file holds and the button to import it; or every reason why it cannot be."""
    table = _table(file.getvalue(), file.name)
    if isinstance(table, CorpusRefused):
        show(table)
        return
    columns = None
    if table.is_foreign:
        columns = columns_form(table, file.name, file.file_id)
        if columns is None:
            return
    found = _corpus(file.getvalue(), file.name, repr(columns), columns)
    if isinstance(found, InputError):
        show(found)
        if columns:
            st.caption("Or choose other columns above.")
        return
    st.markdown(f"**{plain(file.name)}** is ready to import: {summary(found)}.")
    show_counts(found)
    if columns:
        _as_read(found)
    whole = _whole(found, file.file_id, taken)
    if isinstance(whole, InputError):
        show(whole)
        return
    if notes := check_corpus(whole):
        st.caption("\n".join(["Good to know:", *(f"- {plain(note)}" for note in notes)]))
    stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in Path(file.name).stem.lower()).strip("-")
    wanted = whole.name if whole is not found else stem or "my-corpus"
    name = st.text_input("Name", value=free_name(wanted, taken), key=f"upload name of {wanted} {file.file_id}")
    if st.button("Import corpus", type="primary", icon=":material/upload:"):
        store().save_corpus(replace(whole, name=check_name(name)))
        st.session_state[_IMPORTED] = name
        st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1  # another uploader, without the file
        url.write(page, corpus=name)
        st.rerun()


def _whole(found: Corpus, file: str, taken: Sequence[str]) -> Corpus | InputError:
    """With the lines of a corpus that is there, if one is chosen; named as that."""
    if not taken:
        return found
    other = st.selectbox(
        "Together with", taken, index=None, key=f"upload with {file}", placeholder="none: a corpus of its own",
        help="For what lies in several files, such as probes in one and prompt pairs in another: the new corpus then "
        "has the lines of both. The one that you choose stays as it is, and so do its runs.",
    )  # fmt: skip
    if other is None:
        return found
    first = store().corpus(other)
    whole = _joined(first, found, first.hash, found.hash, other)
    if isinstance(whole, Corpus):
        st.caption(f"With those of **{plain(other)}**: {summary(whole)}.")
    return whole


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


def _as_read(corpus: Corpus) -> None:
    """The first rows as they will be in the corpus."""
    for part, rows in tables(corpus, corpus.hash).items():
        if rows and (part != PAIRS or corpus.pairs):
            st.caption(f"{part}, as they are read:")
            config: dict[str, str | None] = dict(titles(part, task=is_task(corpus)))
            st.dataframe(rows[:FIRST_ROWS], hide_index=True, column_config=config, height="content")


def format_help() -> None:
    """The one description of the format, and an example that can be imported as it is."""
    st.markdown(format_text())
    st.download_button(
        "Download an example", EXAMPLE_CSV, file_name="example.csv", mime="text/csv", icon=":material/download:",
        on_click="ignore",
    )  # fmt: skip


@kept("Reading the file …")
def _table(content: bytes, source: str) -> Table | CorpusRefused:
    """Read once, not at every rerun. A refusal is a result too: what raises is not cached."""
    try:
        return read_table(content, source)
    except CorpusRefused as refused:
        return refused


@kept("Reading the file …")
def _corpus(content: bytes, source: str, columns: str, _columns: Columns | None) -> Corpus | InputError:
    try:
        return parse_corpus(content, source, "imported", columns=_columns)
    except InputError as refused:
        return refused


@kept("Putting both together …")
def _joined(_first: Corpus, _second: Corpus, first_hash: str, second_hash: str, name: str) -> Corpus | InputError:
    try:
        return joined(_first, _second, name)
    except InputError as refused:
        return refused
