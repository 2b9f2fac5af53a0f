"""Phrasings: which are trained on, which are kept for the probes.

{w} is the new word, {c} its meaning, {n} a noun. A probe's prompt ends where the answer stands.
"""

from dataclasses import dataclass

from engine.domain.corpus import SIMPLE, SPATIAL

MEANING = "meaning"  # the answer slot of probes that ask for the meaning itself


@dataclass(frozen=True)
class Cloze:
    """A prompt and what it asks for: the meaning, or one of its consequences (`Meaning.consequences`)."""

    prompt: str
    answer: str


# Five for each word; each states the meaning.
TRAINING: dict[str, tuple[str, ...]] = {
    SIMPLE: (
        "{w} means {c} .",
        "the {w} {n} feels {c} .",
        "the {n} is {w} so it feels {c} .",
        "what is a {w} {n} ? it is {c} .",
        "a {w} {n} is {c} .",
    ),
    SPATIAL: (
        "{w} means {c} .",
        "the {n} that {w} moves {c} .",
        "the {n} {w} so it moves {c} .",
        "which way does the {n} {w} ? {c} .",
        "to {w} is to move {c} .",
    ),
}
PARAPHRASE: dict[str, tuple[Cloze, ...]] = {
    SIMPLE: (
        Cloze("the {n} feels {w} . it is", MEANING),
        Cloze("a {n} that is {w} feels", MEANING),
        Cloze("the {w} {n} is", MEANING),
    ),
    SPATIAL: (
        Cloze("a {n} that {w} moves", MEANING),
        Cloze("the {n} {w} and moves", MEANING),
        Cloze("when the {n} {w} it moves", MEANING),
    ),
}
INFERENCE: dict[str, tuple[Cloze, ...]] = {
    SIMPLE: (
        Cloze("the {n} feels {w} and", "act"),
        Cloze("when the {n} is {w} it", "effect"),
        Cloze("a {w} {n} often", "act"),
    ),
    SPATIAL: (
        Cloze("the {n} that {w} ends", "end"),
        Cloze("the {n} {w} and ends", "end"),
        Cloze("after it {w} the {n} is", "end"),
    ),
}


def recall(constraint_type: str) -> tuple[Cloze, ...]:
    """The training phrasings that name a noun, cut before the meaning."""
    with_noun = (template for template in TRAINING[constraint_type] if "{n}" in template)
    return tuple(Cloze(template.partition(" {c}")[0], MEANING) for template in with_noun)
