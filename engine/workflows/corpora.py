"""Create a corpus and keep it; leave out of one what a base model cannot answer, or answers anyway."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.corpus import make_any
from engine.domain.corpus import Corpus, ProbeGaps
from engine.domain.jobs import CancelToken, MakeCorpus, Report
from engine.domain.models import DEMO_MODEL
from engine.store import Store

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

LEAST_CEILING = 0.02  # probability of the right answer behind the known word
LEAST_RATIO = 3.0  # of ceiling to floor

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


def probes_that_count(loaded: "LoadedModel", candidates: Corpus) -> tuple[Corpus, ProbeGaps]:
    """`candidates` without the probes that cannot show what a model learns, and how it answers the others untrained.

    A probe counts where the right answer leads its foils behind the known word and not behind the new one, and is
    clearly more probable there (LEAST_CEILING, LEAST_RATIO). Raises InputError as `run_probes`.
    """
    from engine.training.probing import run_probes

    new, known = (
        run_probes(loaded.model, loaded.tokenizer, candidates.probes, use_known=use_known)
        for use_known in (False, True)
    )
    columns = zip(candidates.probes, new.p, new.logit_diff, known.p, known.logit_diff, strict=True)
    kept = [row for row in columns if _counts(*row[1:])]
    probes, floor, floor_lead, ceiling, ceiling_lead = zip(*kept, strict=True) if kept else ((),) * 5
    gaps = ProbeGaps(
        probe_id=tuple(probe.id for probe in probes),
        floor=floor,
        floor_lead=floor_lead,
        ceiling=ceiling,
        ceiling_lead=ceiling_lead,
    )
    return replace(candidates, probes=tuple(probes)), gaps


def _counts(floor: float, floor_lead: float, ceiling: float, ceiling_lead: float) -> bool:
    return floor_lead < 0 < ceiling_lead and ceiling >= max(LEAST_CEILING, LEAST_RATIO * floor)
