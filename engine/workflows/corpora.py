"""Create a corpus and keep it; leave out of one what the base model cannot answer."""

import logging
from dataclasses import replace

from engine.corpus import make_any
from engine.domain.corpus import Corpus
from engine.domain.jobs import CancelToken, MakeCorpus, Report
from engine.domain.models import DEMO_MODEL
from engine.store import Store

_log = logging.getLogger(__name__)


def make_corpus(store: Store, request: MakeCorpus, report: Report, cancel: CancelToken) -> str:
    """Returns the corpus's name. Raises InputError where the name has other content."""
    report(0.0, "creating the corpus")
    corpus = make_any(request.spec)
    cancel.check()
    store.save_corpus(corpus, request.spec)
    report(1.0, f"{len(corpus.examples)} examples, {len(corpus.probes)} probes and {len(corpus.pairs)} pairs")
    return corpus.name


def answered_by_base(store: Store, candidates: Corpus) -> Corpus:
    """`candidates` without the probes that the bundled model fails when the new word is replaced by the known one.

    A run could not be expected to answer those. Raises ModelUnavailable, Damaged, InputError as `run_probes`.
    """
    from engine.models.base import load_base
    from engine.training.probing import run_probes

    loaded = load_base(DEMO_MODEL, store.base_folder(DEMO_MODEL))
    known = run_probes(loaded.model, loaded.tokenizer, candidates.probes, use_known=True)
    probes = tuple(probe for probe, right in zip(candidates.probes, known.correct, strict=True) if right)
    _log.info("%d of %d probes are answered with the known word", len(probes), len(candidates.probes))
    return replace(candidates, probes=probes)
