"""Make a corpus and keep it."""

from engine.corpus import make_corpus as make
from engine.domain.jobs import CancelToken, MakeCorpus, Report
from engine.store import Store


def make_corpus(store: Store, request: MakeCorpus, report: Report, cancel: CancelToken) -> str:
    """Returns the corpus's name. Raises InputError where the name has other content."""
    report(0.0, "making the corpus")
    corpus = make(request.spec)
    cancel.check()
    store.save_corpus(corpus, request.spec)
    report(1.0, f"{len(corpus.examples)} examples and {len(corpus.probes)} probes")
    return corpus.name
