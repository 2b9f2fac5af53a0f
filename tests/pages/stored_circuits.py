"""A workspace with a run, a corpus that has pairs, and circuits of its checkpoints, for the tests of their page."""

import os
from dataclasses import replace
from pathlib import Path

from engine.domain.components import ComponentKey, ComponentScores
from engine.domain.corpus import Pair
from engine.store import Store
from tests.figures.component_makers import random_scores
from tests.store.artefacts import add_run, corpus

REFS = ("one@base", "one@50%", "one@100%")
PAIR = Pair(
    id="p", clean="2 plus 3 is", corrupted="2 minus 3 is", answer="5", corrupted_answer="1", constraint_type="sums"
)


def store() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]), bundled=None)


def ready(*, pairs: bool = True) -> Store:
    """A run of three checkpoints, and a corpus whose pairs its circuits can be found with."""
    made = store()
    add_run(made)
    if pairs:
        made.save_corpus(replace(corpus("sums"), pairs=(PAIR,)))
    return made


def keep(made: Store, ref: str, place: int, *, clean: float = 1.5) -> ComponentScores:
    scores = random_scores(1, checkpoint=ref, drift=place / 4, clean=clean)
    key = ComponentKey(checkpoint=ref, checkpoint_hash=f"c{place}", pairs="sums", pairs_hash="p")
    scores = replace(scores, key=key)
    made.save_components(scores)
    return scores


def found(*, refs: tuple[str, ...] = REFS) -> tuple[ComponentScores, ...]:
    """Circuits of these checkpoints are stored."""
    made = ready()
    return tuple(keep(made, ref, REFS.index(ref)) for ref in refs)
