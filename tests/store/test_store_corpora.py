"""Corpora in the store: parsed once, and again when their file changes."""

from pathlib import Path

import pytest

from engine.corpus import make_corpus
from engine.domain.corpus import CorpusSpec
from engine.domain.errors import Damaged
from engine.store import Store
from engine.store.kept import kept_values


def test_a_corpus_is_parsed_once_while_its_file_stays(tmp_path: Path) -> None:
    store = Store(tmp_path, bundled=None)
    made = make_corpus(CorpusSpec(name="mine", n_probes=5))
    store.save_corpus(made)
    first = store.corpus("mine")
    assert first == made
    assert store.corpus("mine") is first
    path = tmp_path / "corpora" / "mine" / "corpus.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[1:]))
    assert len(store.corpus("mine").examples) == len(first.examples) - 1
    path.write_bytes(whole[:-20])
    for _ in range(2):
        with pytest.raises(Damaged):
            store.corpus("mine")
    kept_values().clear()
    path.write_bytes(whole)
    assert store.corpus("mine") == first
