"""Meaning overlap of the demo: does a new word wake the features of the word that it means?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.overlap import ALL_LAYERS, meaning_overlap
from engine.corpus.constraints import constraints
from engine.corpus.make import FIRST_NOUN
from engine.corpus.templates import INFERENCE
from engine.domain.corpus import SIMPLE, SPATIAL, Probe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.replacement import Replacement


@dataclass(frozen=True)
class WholeOverlap:
    """Weighted Jaccard of feature activations over all layers, mean over words and phrasings; 0 to 1."""

    own: float  # of a new word with its meaning
    other: float  # of a new word with the other meanings of its type


def whole_overlap(replacement: "Replacement", merged: "PreTrainedModel | None") -> WholeOverlap:
    """Measured where the consequence is predicted: at the last position of every inference phrasing with one noun.

    Both words are put through the same checkpoint (`merged`; None: the base).
    """
    from engine.attribution.overlap import overlap_rows

    rows = overlap_rows(replacement, merged, list(_probes()))
    overlaps = [one for name, own in rows.items() for one in meaning_overlap(0, name, own, n_boot=1)]
    whole = [one for one in overlaps if one.layer == ALL_LAYERS]
    n = [one.n for one in whole]  # every word and phrasing counts alike
    own, other = ([getattr(one, side) for one in whole] for side in ("own", "other"))
    return WholeOverlap(float(np.average(own, weights=n)), float(np.average(other, weights=n)))


def _probes() -> Iterator[Probe]:
    """Every word in every inference phrasing, also where the corpus has dropped the probe."""
    for constraint_type in (SIMPLE, SPATIAL):
        for word in constraints(constraint_type):
            for number, cloze in enumerate(INFERENCE[constraint_type]):
                noun = FIRST_NOUN[constraint_type]
                yield Probe(
                    id=f"overlap-{word.word}-{number + 1}",
                    kind="inference",
                    text=cloze.prompt.format(w=word.word, n=noun),
                    known_text=cloze.prompt.format(w=word.meaning.known_word, n=noun),
                    answer=word.meaning.consequences[cloze.answer],
                    foils=(),
                    constraint_type=constraint_type,
                    constraint=word.word,
                    meaning=word.meaning.name,
                    template=cloze.prompt,
                )
