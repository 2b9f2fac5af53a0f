"""The words that a model reads, by kind: what a prompt of one's own can be made of. Read from its tokenizer file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engine.corpus import world
from engine.domain.errors import Damaged, NotFound, TracelapseError
from engine.store import Store

_MOST_WORDS = 5_000  # of a list that a person can look through
_TRAIT_KINDS = {"feeling": "feelings", "speed": "speeds", "size": "sizes", "brightness": "brightness"}


@dataclass(frozen=True)
class WordKind:
    """Words of one kind, as `nouns`."""

    kind: str
    words: tuple[str, ...]


def vocabulary(store: Store, *runs: str) -> tuple[WordKind, ...]:
    """All words of the runs' model by kind, new words first, every word once.

    Empty where a model has no fixed list of words: a tokenizer that splits words into parts reads any text.
    """
    try:
        folder = store.tokenizer_folder(store.run(runs[0]).model)
        words = _word_list(folder / "tokenizer.json")
    except (TracelapseError, OSError, ValueError):
        return ()
    left = dict.fromkeys(words)
    kinds = []
    for kind, chosen in (*_kinds(_new_words(store, runs)), ("other words", words)):
        own = tuple(word for word in dict.fromkeys(chosen) if word in left)
        for word in own:
            del left[word]
        if own:
            kinds.append(WordKind(kind, own))
    return tuple(kinds)


def _word_list(path: Path) -> list[str]:
    """Of a tokenizer that has a number for each whole word; else empty. A large file is read once."""
    return list(_words_in(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=8)
def _words_in(path: Path, _written: int) -> list[str]:
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    model, splits = tokenizer["model"], tokenizer.get("pre_tokenizer") or {}
    if (model.get("type"), splits.get("type")) != ("WordLevel", "WhitespaceSplit") or tokenizer.get("normalizer"):
        return []
    special = {token["content"] for token in tokenizer.get("added_tokens", []) if token.get("special")}
    words = [word for word in model["vocab"] if word not in special]
    return words if len(words) <= _MOST_WORDS else []


def _new_words(store: Store, runs: Iterable[str]) -> list[str]:
    """What the corpora of the runs teach."""
    found = []
    for run in runs:
        try:
            corpus = store.corpus(store.run(run).corpus)
        except (NotFound, Damaged):
            continue
        found += [example.constraint for example in corpus.examples]
    return found


def _kinds(new_words: Iterable[str]) -> list[tuple[str, Iterable[str]]]:
    """What the made-up world calls its words."""
    traits = {name: [t for t in world.TRAITS if t.group == group] for group, name in _TRAIT_KINDS.items()}
    verbs = [word for trait in world.TRAITS for word in (trait.act, trait.effect)]
    verbs += [verb for direction in world.DIRECTIONS for verb in direction.verbs]
    return [
        ("new words", (*new_words, *world.NEW_WORDS)),
        ("nouns", world.NOUNS),
        *((name, [trait.name for trait in own]) for name, own in traits.items()),
        ("directions", [direction.name for direction in world.DIRECTIONS]),
        ("verbs", verbs),
        ("places", [direction.end for direction in world.DIRECTIONS]),
        ("connecting words", ("the", "a", "is", "feels", "and", "that", "so", "when", "it", "moves", "ends", "means")),
        ("numbers", world.NUMBERS),
        ("signs", (*world.OPERATORS, *world.BRACKETS)),
        ("arithmetic", world.EXERCISE_WORDS),
    ]
