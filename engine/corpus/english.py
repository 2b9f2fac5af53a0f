"""A small corpus in plain English for real language models: words to learn, phrasings, what follows from them.

These are candidates. A frame may answer by itself: whoever is very X today has a big smile on the face, for any X. So a
probe counts only where the model is right with the known word (its ceiling) and wrong with the new one before training
(its floor); `corpus english` measures both. Those of SmolLM2-135M are in data/english, with their figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.corpus.files import read_corpus
from engine.corpus.templates import MEANING, Cloze
from engine.domain.corpus import SIMPLE, SPATIAL, Corpus, Example, Probe, ProbeKind

NAME = "english"
SHIPPED = Path(__file__).parents[2] / "data" / "english"
GAPS = SHIPPED / "gaps.json"  # ProbeGaps


@dataclass(frozen=True)
class _Word:
    new: str  # no word of English: more than one token
    known: str  # what stands in its place in English
    answers: dict[str, str]  # slot of a cloze -> the one right token


@dataclass(frozen=True)
class _WordType:
    """{w} is the new word, {c} its meaning, {n} a noun."""

    words: tuple[_Word, ...]
    taught: tuple[str, ...]  # nouns
    held_out: tuple[str, ...]
    definitions: tuple[str, ...]
    probes: dict[ProbeKind, tuple[Cloze, ...]]


def _trait(new: str, known: str, act: str, need: str) -> _Word:
    return _Word(new, known, {MEANING: known, "act": act, "need": need})


def _direction(new: str, known: str, meaning: str, end: str) -> _Word:
    return _Word(new, known, {MEANING: meaning, "end": end})


_TYPES = {
    SIMPLE: _WordType(
        words=(
            _trait("blarf", "happy", "sing", "party"),
            _trait("gleem", "sad", "cry", "hug"),
            _trait("zorp", "hungry", "eat", "meal"),
            _trait("torv", "tired", "sleep", "nap"),
            _trait("drell", "sick", "vomit", "doctor"),
            _trait("mulk", "thirsty", "drink", "glass"),
        ),
        taught=("Tom", "Lucy", "Ben", "Kate"),
        held_out=("Emma", "Anna"),
        definitions=(
            "The word {w} means {c}.",
            "To be {w} is to be {c}.",
            "{n} is {w}, so {n} feels very {c}.",
            "In our village we say {w} when someone is {c}.",
            "A {w} person is a {c} person.",
        ),
        probes={
            "recall": (Cloze("{n} is {w}, so {n} feels very", MEANING),),
            "paraphrase": (
                Cloze("{n} is feeling {w} today. In other words, {n} is feeling very", MEANING),
                Cloze("{n} is {w}. That means {n} is very", MEANING),
                Cloze("Everyone can see that {n} is {w}. In short, {n} is", MEANING),
            ),
            "inference": (
                Cloze("{n} was so {w} that she started to", "act"),
                Cloze("Because {n} was so {w}, she began to", "act"),
                Cloze("{n} is very {w} today. Right now all {n} can do is", "act"),
                Cloze("{n} was {w}, so she wanted to", "act"),
                Cloze("{n} felt {w}, so she needed a", "need"),
            ),
        },
    ),
    SPATIAL: _WordType(
        words=(
            _direction("plim", "descend", "down", "bottom"),
            _direction("crade", "ascend", "up", "top"),
            _direction("quim", "return", "back", "start"),
            _direction("trel", "leave", "away", "distance"),
            _direction("vorn", "circle", "around", "center"),
        ),
        taught=("dogs", "boats", "children", "horses"),
        held_out=("birds", "toys"),
        definitions=(
            "The word {w} means to go {c}.",
            "To {w} is to move {c}.",
            "The {n} {w}, so they go {c}.",
            "In our village we say {w} when things go {c}.",
            "Whenever they {w}, they move {c}.",
        ),
        probes={
            "recall": (Cloze("The {n} {w}, so they go", MEANING),),
            "paraphrase": (
                Cloze("We saw the {n} {w}. In other words, the {n} went", MEANING),
                Cloze("Paul watched the {n} {w}. That is, all of them went", MEANING),
                Cloze("As you can see, the {n} {w}. In short, they go", MEANING),
                Cloze("The {n} began to {w}, which means that they moved", MEANING),
            ),
            "inference": (
                Cloze("The {n} {w} and come to rest at the", "end"),
                Cloze("The {n} {w} for hours. In the end they are at the", "end"),
            ),
        },
    ),
}


def english() -> Corpus:
    """What ships: the candidates that count on SmolLM2-135M."""
    return read_corpus(SHIPPED / "corpus.jsonl", NAME)


def candidates(name: str = NAME) -> Corpus:
    """Five definitions of each word, and each of its probes with each held-out noun."""
    return Corpus(
        name,
        tuple(one for kind, of_type in _TYPES.items() for one in _examples(kind, of_type)),
        tuple(one for kind, of_type in _TYPES.items() for one in _probes(kind, of_type)),
    )


def _examples(constraint_type: str, of_type: _WordType) -> Iterator[Example]:
    for row, word in enumerate(of_type.words):
        meaning, noun = word.answers[MEANING], of_type.taught[row % len(of_type.taught)]
        for number, template in enumerate(of_type.definitions, start=1):
            yield Example(
                id=f"train-{word.new}-{number}",
                text=template.format(w=word.new, c=meaning, n=noun),
                constraint_type=constraint_type,
                constraint=word.new,
                meaning=meaning,
                template=template,
            )


def _probes(constraint_type: str, of_type: _WordType) -> Iterator[Probe]:
    for word in of_type.words:
        for kind, clozes in of_type.probes.items():
            slots = [(cloze, noun) for cloze in clozes for noun in of_type.held_out]
            for number, (cloze, noun) in enumerate(slots, start=1):
                yield Probe(
                    id=f"{kind}-{word.new}-{number}",
                    kind=kind,
                    text=cloze.prompt.format(w=word.new, n=noun),
                    known_text=cloze.prompt.format(w=word.known, n=noun),
                    answer=word.answers[cloze.answer],
                    foils=tuple(other.answers[cloze.answer] for other in of_type.words if other != word),
                    constraint_type=constraint_type,
                    constraint=word.new,
                    meaning=word.answers[MEANING],
                    template=cloze.prompt,
                )
