"""The prompts on which meaning overlap is measured: a phrasing with a new word, with its meaning, with the others."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.continuation import whole_word
from engine.domain.corpus import Corpus, Probe


@dataclass(frozen=True)
class MeaningPrompts:
    """One phrasing with different words in one place."""

    constraint_type: str
    constraint: str
    template: str
    new: str
    own: str
    others: tuple[str, ...]  # may be empty: a type with one word has no other meanings


def overlap_probes(corpus: Corpus, otherwise: Sequence[Probe]) -> tuple[Probe, ...]:
    """The probes that meaning overlap is measured on: those that ask for consequences, else `otherwise`.

    Where the meaning itself is asked for, a lookup table wakes what is about to be said just as the known word does.
    """
    return tuple(probe for probe in corpus.probes if probe.kind == "inference") or tuple(otherwise)


def meaning_prompts(probes: Sequence[Probe]) -> tuple[MeaningPrompts, ...]:
    """One for each constraint and phrasing: of the first such probe, in the order of the probes.

    The known word is what stands in `known_text` where the constraint stands in `text`; the others are those of the
    other constraints of its type, where they can be in the same phrasing, else in any. Left out are probes whose
    known text is the same or differs in more than that word.
    """
    found: dict[tuple[str, str, str], tuple[Probe, str]] = {}
    for probe in probes:
        if (known := known_word(probe)) is not None:
            found.setdefault((probe.constraint_type, probe.constraint, probe.template), (probe, known))
    rows = []
    for (constraint_type, constraint, template), (probe, known) in found.items():
        words: dict[str, str] = {}  # other constraint -> its known word
        for (other_type, other, phrasing), (_, word) in found.items():
            if other_type == constraint_type and other != constraint and (phrasing == template or other not in words):
                words[other] = word
        others = (_with(probe, word) for word in words.values() if word != known)
        rows.append(
            MeaningPrompts(
                constraint_type, constraint, template, probe.text, probe.known_text, tuple(dict.fromkeys(others))
            )
        )
    return tuple(rows)


def known_word(probe: Probe) -> str | None:
    """What stands for the constraint in `known_text`; None where that is the constraint, or cannot be told."""
    pieces = _place(probe).split(probe.text)
    if probe.known_text == probe.text or len(pieces) < 2:
        return None
    first, second, *rest = map(re.escape, pieces)
    pattern = rf"{first}(?P<known>\S.*?){second}" + "".join(rf"(?P=known){piece}" for piece in rest)
    match = re.fullmatch(pattern, probe.known_text)
    return match["known"].strip() if match else None


def _with(probe: Probe, word: str) -> str:
    return word.join(_place(probe).split(probe.text))


def _place(probe: Probe) -> re.Pattern[str]:
    """Where the constraint stands as a word of its own."""
    return whole_word(probe.constraint)
