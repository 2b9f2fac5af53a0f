"""Which prompt pairs of a corpus the model of a run can be measured on. Nothing here needs torch or the weights."""

from pathlib import Path

from engine.corpus.pairs import pairs_of
from engine.domain.errors import TracelapseError
from engine.domain.numbers import count, plural
from engine.models.vocabulary import PairFit, pair_fit
from engine.store import Store
from engine.workflows.model_facts import folder_here

UNKNOWN = PairFit(0, 0)


def tokenizer_of(store: Store, run: str) -> Path | None:
    """The folder of the tokenizer that the run's model reads with; None where it is not at hand.

    Raises NotFound (the run), Damaged.
    """
    spec = store.run(run).model
    return folder_here(store, spec) if spec.source == "hub" else store.tokenizer_folder(spec)


def pairs_fit(store: Store, run: str, corpus: str) -> PairFit:
    """How many pairs of a corpus the model of the run reads as circuits need them: `UNKNOWN` where its tokenizer is not
    at hand, or the corpus cannot be read; then the job says what is wrong."""
    try:
        folder = tokenizer_of(store, run)
        fit = pair_fit(folder, pairs_of(store.corpus(corpus))) if folder else None
    except TracelapseError:
        return UNKNOWN
    return fit or UNKNOWN


def left_out(corpus: str, fit: PairFit) -> str:
    """Sentences on the pairs that do not fit, where others do; empty where all do, or none."""
    if not fit.n_bad or not fit.fits:
        return ""
    return (
        f"{count(fit.n_fit)} of the {plural(fit.n, 'prompt pair')} of “{corpus}” are used; the others cannot be with "
        f"this model. The first of them: {fit.reason}."
    )
