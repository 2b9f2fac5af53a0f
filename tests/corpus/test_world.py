"""The world that the base model grows up in: its words, and what it says and leaves unsaid."""

import random
import re

from engine.corpus.constraints import MEANINGS
from engine.corpus.templates import INFERENCE, PARAPHRASE, recall
from engine.corpus.world import (
    DIRECTION_SENTENCES,
    DIRECTIONS,
    HELD_OUT_NOUNS,
    NEW_WORDS,
    NUMBERS,
    SPECIAL_TOKENS,
    TAUGHT_NOUNS,
    TRAIT_SENTENCES,
    TRAITS,
    vocabulary,
    world_sentence,
)
from engine.domain.corpus import SIMPLE, SPATIAL


def world_sentences(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [world_sentence(rng) for _ in range(n)]


SENTENCES = world_sentences(20_000, seed=3)
# Every word of the prototype that the examples of this project come from.
PROTOTYPE_TEXT = """
cat dog bird fish fox bear girl boy king queen child robot ship ball leaf star
happy smiles laughs sad cries weeps fast races wins bright shines glows small hides fits slow lags loses
angry shouts fights calm rests sleeps
upward rises climbs above downward falls sinks below circular spins turns around inward enters joins inside
outward leaves spreads outside sideways slides drifts beside
blarf gleem zephyr lumina vortik glide cascade orbit pierce expand
the is so it . feels and because means moves move ends end to that what a ? which way does when
"""


def test_vocabulary_holds_every_needed_token_once():
    words = vocabulary()
    assert len(set(words)) == len(words)
    assert tuple(words[:4]) == SPECIAL_TOKENS
    assert {*PROTOTYPE_TEXT.split(), *(str(n) for n in range(200)), *"+-*/=()"} <= set(words)
    assert {word for sentence in SENTENCES for word in sentence.split()} <= set(words)


def test_nouns_of_training_and_probes_are_different():
    assert not set(TAUGHT_NOUNS) & set(HELD_OUT_NOUNS)
    assert {"cat", "bird"} <= set(HELD_OUT_NOUNS)


def test_the_world_never_uses_the_new_words():
    used = {word for sentence in SENTENCES for word in sentence.split()}
    assert not used & set(NEW_WORDS)


def test_the_same_seed_tells_the_same_sentences():
    assert world_sentences(50, seed=7) == world_sentences(50, seed=7) != world_sentences(50, seed=8)


def test_no_arithmetic_result_is_stated():
    """`=` only ever names a number (“x = 12”), and nothing follows an expression but the end of the sentence."""
    number = r"\d+"
    for sentence in SENTENCES:
        assert not re.search(rf"[-+*/)] ?({number} )?=", sentence), sentence
        for left in re.findall(r"(\S+) =", sentence):
            assert left in {"x", "y"}, sentence
        expression = re.search(r"[-+*/]", sentence)
        if expression:
            assert re.fullmatch(r"read [-+*/() \d]+ \.", sentence), sentence


def test_all_numbers_are_counted_with():
    counted = {word for sentence in SENTENCES if sentence.startswith("count") for word in sentence.split()}
    assert set(NUMBERS) <= counted


def test_half_of_the_world_is_traits_and_half_directions():
    names = {trait.name for trait in TRAITS}, {direction.end for direction in DIRECTIONS}
    names[1].update(word for d in DIRECTIONS for word in (d.name, *d.verbs))
    shares = [sum(any(w in group for w in s.split()) for s in SENTENCES) / len(SENTENCES) for group in names]
    assert all(0.40 < share < 0.48 for share in shares), shares


def test_every_prompt_of_a_probe_has_one_right_next_word():
    """Told by the world's own sentences: with a known word in the slot only one continuation ever occurs."""
    rng = random.Random(0)
    told = [
        t.format(n=rng.choice(HELD_OUT_NOUNS), c=trait.name, act=trait.act, effect=trait.effect)
        for t in TRAIT_SENTENCES
        for trait in TRAITS
        for _ in range(200)
    ]
    told += [
        t.format(n=rng.choice(HELD_OUT_NOUNS), c=d.name, v=d.verbs[0], end=d.end)
        for t in DIRECTION_SENTENCES
        for d in DIRECTIONS
        for _ in range(200)
    ]
    for constraint_type in (SIMPLE, SPATIAL):
        for cloze in (*recall(constraint_type), *PARAPHRASE[constraint_type], *INFERENCE[constraint_type]):
            for meaning in MEANINGS[constraint_type]:
                prompt = cloze.prompt.format(w=meaning.known_word, n="cat")
                answer = meaning.consequences.get(cloze.answer, meaning.name)
                next_words = {t[len(prompt) :].split()[0] for t in told if t.startswith(prompt + " ")}
                assert next_words == {answer}, prompt
