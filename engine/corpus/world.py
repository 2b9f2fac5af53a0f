"""The made-up world that the bundled base model grows up in.

Feelings, speeds, sizes and brightness are *traits*: whoever has one does something for it (a happy cat smiles).
*Directions* are moved in by verbs and have an end (what rises ends above). Every phrasing fixes which of the
consequences follows, so that a prompt has one right next token: “the N feels happy and” goes on with `smiles`,
“when the N is happy it” with `laughs`. Numbers 0 to 199 are single tokens that are counted with, compared by order and
written into expressions; the result of an expression is never stated, so that arithmetic can be taught later.
"""

import random
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
# New words are taught with the first twelve nouns; the others stay for the probes. All of them are in pre-training.
TAUGHT_NOUNS = _words("dog fish fox bear girl boy king queen child robot ship ball")
HELD_OUT_NOUNS = _words(
    "cat bird leaf star horse wolf frog duck mouse lion cloud boat kite drum lamp clock sheep snake train doll"
)
NOUNS = (*TAUGHT_NOUNS, *HELD_OUT_NOUNS)
# The ten words that the demo teaches: tokens of the base model that it never saw in use.
NEW_WORDS = _words("blarf gleem zephyr lumina vortik glide cascade orbit pierce expand")
NUMBERS = tuple(str(n) for n in range(200))
OPERATORS = ("+", "-", "*", "/", "=")
BRACKETS = ("(", ")")
# Words of arithmetic exercises, for corpora that teach it.
EXERCISE_WORDS = _words(
    "calculate result arithmetic expression provide only final answer following derive sequence there function given "
    "plus minus times divided by sum difference product least common multiple solve number numbers x y f if then "
    "true false more less than equal equals bigger smaller add subtract multiply divide step twice half"
)


@dataclass(frozen=True)
class Trait:
    """A lasting quality: “the cat is `name`”."""

    name: str
    group: str  # feeling, speed, size or brightness
    act: str  # what one with it does: “feels happy and smiles”
    effect: str  # what comes of it: “when it is happy it laughs”


@dataclass(frozen=True)
class Direction:
    """A way to move: “the bird rises”."""

    name: str
    verbs: tuple[str, str]
    end: str  # where what moved so is found


TRAITS = (
    Trait("happy", "feeling", "smiles", "laughs"),
    Trait("sad", "feeling", "cries", "weeps"),
    Trait("angry", "feeling", "shouts", "fights"),
    Trait("calm", "feeling", "rests", "sleeps"),
    Trait("fast", "speed", "races", "wins"),
    Trait("slow", "speed", "lags", "loses"),
    Trait("small", "size", "hides", "fits"),
    Trait("large", "size", "towers", "blocks"),
    Trait("bright", "brightness", "shines", "glows"),
    Trait("dark", "brightness", "dims", "fades"),
)
DIRECTIONS = (
    Direction("upward", ("rises", "climbs"), "above"),
    Direction("downward", ("falls", "sinks"), "below"),
    Direction("circular", ("spins", "turns"), "around"),
    Direction("inward", ("enters", "joins"), "inside"),
    Direction("outward", ("leaves", "spreads"), "outside"),
    Direction("sideways", ("slides", "drifts"), "beside"),
)

# {n} noun, {c} the trait or direction, {act} {effect} a trait's consequences, {v} one of a direction's verbs,
# {end} a direction's consequence.
TRAIT_SENTENCES = (
    "the {n} feels {c} and {act} .",
    "when the {n} is {c} it {effect} .",
    "a {c} {n} often {act} .",
    "the {n} is {c} so it feels {c} .",
    "the {c} {n} feels {c} .",
    "the {c} {n} is {c} .",
    "a {c} {n} is {c} .",
    "what is a {c} {n} ? it is {c} .",
    "the {n} feels {c} . it is {c} .",
    "a {n} that is {c} feels {c} .",
    "{c} means {c} .",
    "the {n} {act} because it is {c} .",
    "a {n} that {effect} is {c} .",
)
DIRECTION_SENTENCES = (
    "the {n} that {v} ends {end} .",
    "the {n} {v} and ends {end} .",
    "after it {v} the {n} is {end} .",
    "the {n} that {v} moves {c} .",
    "a {n} that {v} moves {c} .",
    "the {n} {v} so it moves {c} .",
    "the {n} {v} and moves {c} .",
    "when the {n} {v} it moves {c} .",
    "which way does the {n} {v} ? {c} .",
    "which way does it {v} ? {c} .",
    "to {v} is to move {c} .",
    "{v} means {c} .",
    "the {n} {v} {c} and ends {end} .",
    "the {n} moves {c} and ends {end} .",
    "to move {c} is to end {end} .",
)
# {i} to {m} are consecutive numbers, {a} {b} {d} any, {o} {q} operators, {more} and {less} two different ones in order.
NUMBER_SENTENCES = (
    "count : {i} {j} {k} {l} {m} .",
    "count down : {m} {l} {k} {j} {i} .",
    "derive the following sequence : {i} , {j} , {k} , {l} , {m} .",
    "after {i} comes {j} .",
    "before {j} comes {i} .",
    "{more} is more than {less} .",
    "{less} is less than {more} .",
    "read {a} {o} {b} .",
    "read ( {a} {o} {b} ) {q} {d} .",
    "read {d} {q} ( {a} {o} {b} ) .",
    "x = {a} so x is {a} .",
    "y = {b} and x = {a} so y is {b} .",
)
SENTENCES = (*TRAIT_SENTENCES, *DIRECTION_SENTENCES, *NUMBER_SENTENCES)
NUMBER_SHARE = 0.12  # of all sentences; the rest is half traits, half directions


def world_sentence(rng: random.Random) -> str:
    """One sentence, tokens separated by blanks."""
    draw = rng.random()
    if draw < NUMBER_SHARE:
        return _number_sentence(rng)
    if draw < NUMBER_SHARE + (1 - NUMBER_SHARE) / 2:
        trait = rng.choice(TRAITS)
        return rng.choice(TRAIT_SENTENCES).format(n=rng.choice(NOUNS), c=trait.name, act=trait.act, effect=trait.effect)
    direction = rng.choice(DIRECTIONS)
    return rng.choice(DIRECTION_SENTENCES).format(
        n=rng.choice(NOUNS), c=direction.name, v=rng.choice(direction.verbs), end=direction.end
    )


def _number_sentence(rng: random.Random) -> str:
    start = rng.randrange(196)
    run = dict(zip("ijklm", NUMBERS[start : start + 5], strict=True))
    less, more = sorted(rng.sample(range(200), 2))
    return rng.choice(NUMBER_SENTENCES).format(
        **run,
        less=less,
        more=more,
        a=rng.choice(NUMBERS),
        b=rng.choice(NUMBERS),
        d=rng.choice(NUMBERS),
        o=rng.choice(OPERATORS[:4]),
        q=rng.choice(OPERATORS[:4]),
    )


def vocabulary() -> list[str]:
    """Every token of the base model, special tokens first; the position is the token id."""
    words = {*NOUNS, *NEW_WORDS, *OPERATORS, *BRACKETS, *EXERCISE_WORDS}
    words |= {word for t in TRAITS for word in (t.name, t.act, t.effect)}
    words |= {word for d in DIRECTIONS for word in (d.name, *d.verbs, d.end)}
    words |= {word for sentence in SENTENCES for word in sentence.split() if not word.startswith("{")}
    return [*SPECIAL_TOKENS, *NUMBERS, *sorted(words)]
