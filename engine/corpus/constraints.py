"""The ten words that are taught: five of each constraint type."""

from dataclasses import dataclass

from engine.corpus.world import DIRECTIONS, TRAITS
from engine.domain.corpus import SIMPLE, SPATIAL


@dataclass(frozen=True)
class Meaning:
    """What a word can mean: one trait or direction of the world."""

    name: str  # what training texts state: happy, upward
    known_word: str  # what the base model knows where the new word stands: happy; rises (a verb's place)
    consequences: dict[str, str]  # answer slot -> the one right token: act, effect, end


@dataclass(frozen=True)
class Constraint:
    """One thing to be learned."""

    constraint_type: str
    word: str
    meaning: Meaning


MEANINGS: dict[str, tuple[Meaning, ...]] = {
    SIMPLE: tuple(Meaning(t.name, t.name, {"act": t.act, "effect": t.effect}) for t in TRAITS),
    SPATIAL: tuple(Meaning(d.name, d.verbs[0], {"end": d.end}) for d in DIRECTIONS),
}
WORDS: dict[str, dict[str, str]] = {
    SIMPLE: {"blarf": "happy", "gleem": "sad", "zephyr": "fast", "lumina": "bright", "vortik": "small"},
    SPATIAL: {
        "glide": "upward",
        "cascade": "downward",
        "orbit": "circular",
        "pierce": "inward",
        "expand": "outward",
    },
}


def constraints(constraint_type: str) -> tuple[Constraint, ...]:
    """The taught words of one type, in a fixed order."""
    by_name = {meaning.name: meaning for meaning in MEANINGS[constraint_type]}
    return tuple(Constraint(constraint_type, word, by_name[name]) for word, name in WORDS[constraint_type].items())
