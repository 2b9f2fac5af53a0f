"""What is damaged on disk is in no list, and is told by name and reason."""

from engine.corpus.make import make_corpus
from engine.domain.corpus import CorpusSpec
from engine.store import Store


def test_a_damaged_corpus_is_told_and_a_whole_one_is_not(store: Store) -> None:
    spec = CorpusSpec(name="mine", seed=1, n_probes=5)
    for name in ("mine", "other"):
        store.save_corpus(make_corpus(spec.model_copy(update={"name": name})))
    assert store.unreadable() == []
    path = store.workspace / "corpora" / "mine" / "corpus.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    again = Store(store.workspace, bundled=None)
    assert [info.name for info in again.corpora()] == ["other"]
    (problem,) = again.unreadable()
    assert problem.path == path
    assert "line" in problem.reason
