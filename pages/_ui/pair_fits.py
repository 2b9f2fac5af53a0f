"""How many prompt pairs of a corpus the model of a run reads, kept between reruns."""

from engine.domain.errors import TracelapseError
from engine.models.vocabulary import PairFit
from engine.store import Store
from engine.workflows import component_pairs
from pages._ui.kept import kept


def pairs_fit(store: Store, run: str, corpus: str) -> PairFit:
    """As `component_pairs.pairs_fit`, made again when the tokenizer or the corpus is another."""
    info = next((info for info in store.corpora() if info.name == corpus), None)
    try:
        folder = component_pairs.tokenizer_of(store, run)
    except TracelapseError:
        folder = None
    if info is None or folder is None:
        return component_pairs.UNKNOWN
    file = folder / "tokenizer.json"
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    return _fit(store, run, corpus, str(folder), changed, info.hash)


@kept()
def _fit(_store: Store, _run: str, corpus: str, folder: str, changed: int, corpus_hash: str) -> PairFit:
    return component_pairs.pairs_fit(_store, _run, corpus)
