"""One corpus, looked at; and a file of the user's own, taken in."""

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import streamlit as st

from engine.corpus import pairs_of, read_corpus
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.errors import InputError
from engine.domain.names import check_name
from engine.store.infos import CorpusInfo
from pages._ui import url
from pages._ui.delete import delete_button
from pages._ui.errors import guarded
from pages._ui.forms import free_name
from pages._ui.session import store
from pages._ui.text import plain, words

Table = list[dict[str, str]]
TRAINED, HELD_OUT, PAIRS, COUNTS = "Trained on", "Held out", "Pairs", "Counts"


@st.cache_data(max_entries=4, show_spinner=False)
def _as_tables(_corpus: Corpus, corpus_hash: str) -> dict[str, Table]:
    word, meaning = ("problem", "answer") if is_task(_corpus) else ("new word", "meaning")
    examples = [
        {"text": line.text, word: line.constraint, meaning: line.meaning, "type": words(line.constraint_type)}
        for line in _corpus.examples
    ]
    probes = [
        {
            "prompt": f"{line.text} ▁", "right answer": line.answer, "foils": ", ".join(line.foils), "kind": line.kind,
            "asked about": line.constraint, "meaning": line.meaning, "type": words(line.constraint_type),
        }
        for line in _corpus.probes
    ]  # fmt: skip
    return {TRAINED: examples, HELD_OUT: probes, PAIRS: pair_rows(_corpus)}


@guarded()
def corpus_view(info: CorpusInfo) -> None:
    """Counts, the tables, download, and deletion of one's own."""
    corpus = store().corpus(info.name)
    tables = _as_tables(corpus, corpus.hash)
    figures = st.columns(4)
    figures[0].metric("Training examples", len(tables[TRAINED]))
    figures[1].metric("Held-out probes", len(tables[HELD_OUT]))
    figures[2].metric("Pairs", len(tables[PAIRS]))
    taught = len({line.constraint for line in corpus.examples})
    figures[3].metric("Problems trained on" if is_task(corpus) else "New words", taught)
    filled = [part for part, table in tables.items() if table] or [TRAINED]
    shown = st.segmented_control(
        "Part", [COUNTS, *filled], default=filled[0], required=True, label_visibility="collapsed"
    )
    if shown == COUNTS:
        st.dataframe(counts(corpus), hide_index=True)
        _kinds()
    else:
        st.dataframe(tables[shown], height=330, hide_index=True)
    if shown == PAIRS:
        _about_pairs(made=not corpus.pairs)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download JSONL", corpus.to_jsonl(), file_name=f"{info.name}.jsonl", mime="application/jsonl",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        if corpus.examples:
            st.page_link(
                "pages/train.py", label="Train on it", icon=":material/model_training:",
                query_params={"corpus": info.name},
            )  # fmt: skip
        if not info.bundled:
            delete_button(f"the corpus **{plain(info.name)}**", partial(_delete, info.name), key="corpus")


def is_task(corpus: Corpus) -> bool:
    """Whether problems are taught rather than words."""
    return any(line.prompt for line in corpus.examples)


def pair_rows(corpus: Corpus) -> Table:
    """One row a pair, its own or made from its probes; none where none can be made."""
    try:
        pairs = pairs_of(corpus)
    except InputError:
        return []
    return [
        {
            "clean prompt": f"{pair.clean} ▁", "right answer": pair.answer, "corrupted prompt": f"{pair.corrupted} ▁",
            "its answer": pair.corrupted_answer, "type": words(pair.constraint_type),
        }
        for pair in pairs
    ]  # fmt: skip


def _about_pairs(*, made: bool) -> None:
    of = "The corpus has none of its own: these are made from its probes. " if made else ""
    st.caption(f"{of}Both prompts have as many tokens, and each has one right answer of one token.")


def counts(corpus: Corpus) -> list[dict[str, str | int]]:
    """One row a constraint type: how many training examples, how many probes of each kind, how many pairs."""
    trained = Counter(line.constraint_type for line in corpus.examples)
    held_out = Counter((line.constraint_type, line.kind) for line in corpus.probes)
    pairs = Counter(row["type"] for row in pair_rows(corpus))
    rows: list[dict[str, str | int]] = []
    for name in corpus.constraint_types:
        kinds = {f"{kind} probes": held_out[name, kind] for kind in PROBE_KINDS}
        rows.append({"constraint type": words(name), "trained on": trained[name], **kinds, "pairs": pairs[words(name)]})
    return rows


def _kinds() -> None:
    st.caption(
        "**recall**: a training phrasing with a noun or numbers never trained on. "
        "**paraphrase**: a phrasing never trained on. "
        "**inference**: what follows from the meaning and was never stated. "
        "**retention**: what the model knew before."
    )


def _delete(name: str) -> None:
    store().delete_corpus(name)
    url.forget("corpus", "corpus")


@guarded()
def upload(page: str, taken: list[str]) -> None:
    """A JSONL or CSV file; one bad line and nothing of it is taken in, all bad lines are listed."""
    st.caption("JSONL or CSV, one example, probe or pair a line. Download the demo corpus to see the format.")
    file = st.file_uploader("Corpus file", type=["jsonl", "csv"], label_visibility="collapsed")
    if file is None:
        return
    suggested = "".join(c if c.isalnum() and c.isascii() else "-" for c in Path(file.name).stem.lower()).strip("-")
    name = st.text_input("Name", value=free_name(suggested or "my-corpus", taken), key=f"upload name {file.file_id}")
    if st.button("Take it in", type="primary"):
        check_name(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(file.name).name  # its own name, so that a message can say it
            path.write_bytes(file.getvalue())
            corpus = read_corpus(path, name)
        store().save_corpus(corpus)
        url.write(page, corpus=name)
        st.rerun()
