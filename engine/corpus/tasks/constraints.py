"""The made-up words: what `make_corpus` makes, with pairs. The corrupted prompt has another of the new words."""

from dataclasses import replace

from engine.corpus.make import make_corpus, retention_probes
from engine.corpus.pairs import pairs_of
from engine.corpus.tasks.problems import Task
from engine.domain.corpus import PROBE_KINDS, Corpus, CorpusSpec, TaskSpec
from engine.domain.errors import InputError


def _make(spec: TaskSpec) -> Corpus:
    """Of the retention probes as many as the spec says; none in the wording “model”, which knows another world."""
    if spec.limit is not None or spec.n_rows is not None:
        raise InputError(
            f"The task “{spec.task}” always has the same 50 examples, without numbers. Leave out the limit and the "
            "number of problems."
        )
    words = make_corpus(CorpusSpec(name=spec.name, seed=spec.seed))
    asked = tuple(probe for probe in words.probes if not PROBE_KINDS[probe.kind].known_words)
    kept = tuple(retention_probes(spec.n_retention, seed=spec.seed)) if spec.wording == "demo" else ()
    return replace(words, probes=asked + kept, pairs=pairs_of(words))


CONSTRAINTS = Task(
    name="constraints",
    title="New words",
    description="Ten made-up words, taught through sentences. Corrupted prompts have another of the words.",
    defaults={},
    make=_make,
)
