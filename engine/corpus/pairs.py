"""Clean and corrupted prompts of a corpus: its own, or made from its probes."""

import re

from engine.domain.corpus import Corpus, Pair, Probe
from engine.domain.errors import InputError


def pairs_of(corpus: Corpus) -> tuple[Pair, ...]:
    """The corpus's own pairs; where it has none, one for each probe that can be turned into another word's.

    The corrupted prompt has the same phrasing and noun with another new word of the type, one that another answer is
    right for. Retention probes make none: they ask for what was known before. Raises InputError where there are none.
    """
    pairs = corpus.pairs or _from_probes([probe for probe in corpus.probes if probe.kind != "retention"])
    if not pairs:
        raise InputError(
            f"The corpus “{corpus.name}” has no pairs of a clean and a corrupted prompt, and none can be made from its "
            "probes: two words of one type, asked about in one phrasing, are needed. Use a corpus that has pairs."
        )
    return pairs


def _from_probes(probes: list[Probe]) -> tuple[Pair, ...]:
    answers: dict[tuple[str, str], dict[str, str]] = {}  # (type, phrasing) -> word -> its answer
    for probe in probes:
        answers.setdefault((probe.constraint_type, probe.template), {})[probe.constraint] = probe.answer
    made = (_corrupted(probe, answers[probe.constraint_type, probe.template]) for probe in probes)
    return tuple(pair for pair in made if pair is not None)


def _corrupted(probe: Probe, answers: dict[str, str]) -> Pair | None:
    """With the next word of the type that has another answer, so that every word is used equally often."""
    words = list(answers)
    at = words.index(probe.constraint)
    for other in (*words[at + 1 :], *words[:at]):
        corrupted = other.join(re.split(rf"(?<!\w){re.escape(probe.constraint)}(?!\w)", probe.text))
        if answers[other] != probe.answer and corrupted != probe.text:
            return Pair(
                id=f"pair-{probe.id}"[:80],
                clean=probe.text,
                corrupted=corrupted,
                answer=probe.answer,
                corrupted_answer=answers[other],
                constraint_type=probe.constraint_type,
            )
    return None
