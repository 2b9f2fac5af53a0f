"""One corpus, looked at; and a file of the user's own, taken in."""

import tempfile
from collections import Counter
from pathlib import Path

import streamlit as st

from engine.corpus import read_corpus
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.names import check_name
from engine.store import Store
from engine.store.infos import CorpusInfo
from pages._ui import url
from pages._ui.errors import guarded
from pages._ui.forms import free_name
from pages._ui.session import store
from pages._ui.text import plain, words


@st.cache_data(max_entries=4, show_spinner=False)
def _as_tables(_corpus: Corpus, corpus_hash: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    examples = [
        {"text": line.text, "new word": line.constraint, "meaning": line.meaning, "type": words(line.constraint_type)}
        for line in _corpus.examples
    ]
    probes = [
        {
            "prompt": f"{line.text} ▁", "right answer": line.answer, "foils": ", ".join(line.foils), "kind": line.kind,
            "new word": line.constraint, "meaning": line.meaning, "type": words(line.constraint_type),
        }
        for line in _corpus.probes
    ]  # fmt: skip
    return examples, probes


@guarded()
def corpus_view(info: CorpusInfo) -> None:
    """Counts, the two tables, download, and deletion of one's own."""
    corpus = store().corpus(info.name)
    examples, probes = _as_tables(corpus, corpus.hash)
    figures = st.columns(4)
    figures[0].metric("Training examples", len(examples))
    figures[1].metric("Held-out probes", len(probes))
    figures[2].metric("New words", len({line.constraint for line in corpus.examples}))
    figures[3].metric("Constraint types", len(corpus.constraint_types))
    shown = st.segmented_control(
        "Part", ["Counts", "Trained on", "Held out"], default="Trained on", required=True, label_visibility="collapsed"
    )
    if shown == "Counts":
        st.dataframe(counts(corpus), hide_index=True)
        _kinds()
    else:
        st.dataframe(examples if shown == "Trained on" else probes, height=330, hide_index=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download JSONL", corpus.to_jsonl(), file_name=f"{info.name}.jsonl", mime="application/jsonl",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.page_link(
            "pages/train.py", label="Train on it", icon=":material/model_training:", query_params={"corpus": info.name}
        )
        if not info.bundled:
            _delete(store(), info.name)


def counts(corpus: Corpus) -> list[dict[str, str | int]]:
    """One row a constraint type: how many training examples, how many probes of each kind."""
    trained = Counter(line.constraint_type for line in corpus.examples)
    held_out = Counter((line.constraint_type, line.kind) for line in corpus.probes)
    rows: list[dict[str, str | int]] = []
    for name in corpus.constraint_types:
        kinds = {f"{kind} probes": held_out[name, kind] for kind in PROBE_KINDS}
        rows.append({"constraint type": words(name), "trained on": trained[name], **kinds})
    return rows


def _kinds() -> None:
    st.caption(
        "**recall**: a training phrasing with a new noun. **paraphrase**: a phrasing never trained on. "
        "**inference**: what follows from the meaning and was never stated. **retention**: what the model knew before."
    )


def _delete(store: Store, name: str) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete the corpus **{plain(name)}** for good?")
        if st.button("Delete for good", type="primary", key="corpus delete"):
            store.delete_corpus(name)
            url.forget("corpus", "corpus")
            st.rerun()


@guarded()
def upload(page: str, taken: list[str]) -> None:
    """A JSONL or CSV file; one bad line and nothing of it is taken in, all bad lines are listed."""
    st.caption("JSONL or CSV, one example or probe a line. Download the demo corpus to see the format.")
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
