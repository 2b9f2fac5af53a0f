"""Positions of different prompts that stand for the same thing."""

import time

import pytest

from engine.analysis.slots import BEGIN, Slot, align, lined_up, probe_slots
from engine.corpus.templates import INFERENCE
from engine.domain.corpus import SIMPLE, Probe
from engine.domain.errors import ComparisonRefused
from tests.analysis.micro_graphs import probe

NEW, NOUN = Slot("{w}"), Slot("{n}")


def probe_of(template: str, text: str, *, word: str = "blarf", kind: str = "inference") -> Probe:
    return probe(text, kind=kind).model_copy(update={"template": template, "constraint": word})


def words(text: str) -> tuple[str, ...]:
    return ("<bos>", *text.split())


def test_every_word_has_its_slot_and_a_second_the_is_another():
    text = "after it glide the cat near the tree is"
    slots = probe_slots(probe_of("after it {w} the {n} near the tree is", text, word="glide"), words(text))
    assert slots == (
        BEGIN,
        Slot("after"),
        Slot("it"),
        NEW,
        Slot("the"),
        NOUN,
        Slot("near"),
        Slot("the", 2),
        Slot("tree"),
        Slot("is"),
    )
    assert align([slots]).names == ("<bos>", "after", "it", "new word", "the", "noun", "near", "the", "tree", "is")


@pytest.mark.parametrize(
    "tokens",
    [
        ("<bos>", "the", " ca", "t", " feels", " bl", "ar", "f", " and"),  # byte pairs, decoded
        ("<s>", "▁the", "▁ca", "t", "▁feels", "▁bl", "ar", "f", "▁and"),  # SentencePiece
        ("<|endoftext|>", "the", "Ġca", "t", "Ġfeels", "Ġbl", "ar", "f", "Ġand"),
        ("<s>", "the", "ca", "t", "feels", "bl", "ar", "f", "and"),
    ],
)
def test_words_that_a_tokenizer_splits(tokens):
    slots = probe_slots(probe_of("the {n} feels {w} and", "the cat feels blarf and"), tokens)
    assert slots[2:8] == (NOUN, Slot("{n}", 1, 1), Slot("feels"), NEW, Slot("{w}", 1, 1), Slot("{w}", 1, 2))
    assert align([slots]).names == (
        "<bos>", "the", "noun", "noun (2)", "feels", "new word", "new word (2)", "new word (3)", "and",
    )  # fmt: skip


def test_prompts_of_one_phrasing_split_differently():
    whole = probe_slots(probe_of("the {n} feels {w} and", "the dog feels blarf and"), words("the dog feels blarf and"))
    split = probe_slots(
        probe_of("the {n} feels {w} and", "the cat feels glimmer and", word="glimmer"),
        ("<bos>", "the", "cat", "feels", "glim", "mer", "and"),
    )
    found = align([whole, split])
    assert found.names == ("<bos>", "the", "noun", "feels", "new word", "new word (2)", "and")
    assert [rows.tolist() for rows in found.rows] == [[0, 1, 2, 3, 4, 6], [0, 1, 2, 3, 4, 5, 6]]


def test_several_phrasings_share_the_place_that_predicts():
    """Where each word begins on average, by hand: when .17; the .2 and .33; noun .4, .5, .75; and so on."""
    prompts = [
        probe_slots(probe_of(cloze.prompt, text := cloze.prompt.format(w="blarf", n="cat")), words(text))
        for cloze in INFERENCE[SIMPLE]
    ]
    found = align(prompts)
    assert found.names == ("<bos>", "when", "a", "the", "noun", "feels", "is", "new word", "last word")
    assert [rows.tolist() for rows in found.rows] == [
        [0, 3, 4, 5, 7, 8],  # <bos> the cat feels blarf | and
        [0, 1, 3, 4, 6, 7, 8],  # <bos> when the cat is blarf | it
        [0, 2, 7, 4, 8],  # <bos> a blarf cat | often
    ]
    turned = align(prompts[::-1])
    assert turned.names == found.names
    assert [rows.tolist() for rows in turned.rows[::-1]] == [rows.tolist() for rows in found.rows]


def test_a_prompt_that_ends_in_its_new_word():
    slots = probe_slots(probe_of("the {n} {w}", "the cat blarf"), words("the cat blarf"))
    assert align([slots]).names == ("<bos>", "the", "noun", "new word")


def test_a_known_word_is_not_called_new():
    slots = probe_slots(probe_of("a {w} {n}", "a happy cat", word="happy", kind="retention"), words("a happy cat"))
    assert align([slots]).names == ("<bos>", "a", "known word", "noun")


def test_regular_expressions_in_a_corpus_are_text():
    slots = probe_slots(probe_of("(a|{n}.* {w}+", "(a|cat.* b[+", word="b["), ("<bos>", "(a|", "cat", ".*", "b[", "+"))
    assert slots == (BEGIN, Slot("(a|"), NOUN, Slot(".*"), NEW, Slot("+"))


@pytest.mark.parametrize(
    ("template", "text", "tokens", "message"),
    [
        ("the {n} feels {w} and", "a cat is blarf", words("a cat is blarf"), "does not follow its template"),
        ("the {n} and the {n} {w}", "the cat and the dog blarf", words("the cat and the dog blarf"), "template"),
        ("a {n} {w}", "a cat blarf", words("a dog blarf"), "do not spell"),
        ("a {n} {w}", "a cat blarf", words("a cat"), "do not spell"),
        ("a {n} {w}", "a cat blarf", ("<bos>", "a", "c�", "t", "blarf"), "do not spell"),
    ],
)
def test_what_cannot_be_aligned_is_refused(template, text, tokens, message):
    with pytest.raises(ComparisonRefused, match=message):
        probe_slots(probe_of(template, text), tokens)


def test_the_begin_mark_is_written_as_the_model_writes_it() -> None:
    slots = probe_slots(probe_of("the {n} {w}", "the cat blarf"), ("<|im_start|>", "the", "cat", "blarf"))
    assert align([slots], begin_mark="<|im_start|>").names == ("<|im_start|>", "the", "noun", "new word")


def test_what_a_mean_lays_together_is_told_by_how_many_phrasings_there_are() -> None:
    one, other = probe_of("the {n} {w}", "the cat blarf"), probe_of("a {w} {n} is", "a blarf cat is")
    assert lined_up([one, one]) == "Their one phrasing is lined up word by word."
    assert lined_up([one, other, one]).startswith("Their 2 phrasings are lined up where they have the same word")


def test_a_hostile_template_takes_no_time():
    template = "{n}" * 300 + "{c}" * 300 + "x"
    start = time.process_time()
    with pytest.raises(ComparisonRefused):
        probe_slots(probe_of(template, "cat " * 400), words("cat " * 400))
    assert time.process_time() - start < 5
