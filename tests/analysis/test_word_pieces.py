"""Pieces are joined by the marks of their tokenizer, and by nothing where it makes none."""

import numpy as np
import pytest

from engine.analysis.word_pieces import pieces, summed, words


@pytest.mark.parametrize(
    ("tokens", "joined"),
    [
        # blanks before words; punctuation stands alone; the first token begins the text
        (("<s>", "Em", "ma", " is", " bl", "arf", ".", " In"), ["<s>", "Emma", " is", " blarf", ".", " In"]),
        (("<s>", "Ġbl", "arf", "Ġand"), ["<s>", "Ġblarf", "Ġand"]),
        (("<s>", "▁bl", "ar", "f", "▁2", "0"), ["<s>", "▁blarf", "▁20"]),
        (("[CLS]", "bl", "##arf", "and"), ["[CLS]", "blarf", "and"]),  # pieces are marked, words are not
        (("<bos>", "the", "cat", "feels"), ["<bos>", "the", "cat", "feels"]),  # nothing is marked: words are tokens
        (("<s>", " don", "'", "t", " \n", "x"), ["<s>", " don't", " \n", "x"]),
        (("<s>", " ab", "猫", "犬"), ["<s>", " ab", "猫", "犬"]),
        ((), []),
    ],
)
def test_words(tokens: tuple[str, ...], joined: list[str]) -> None:
    spans = words(tokens)
    assert [span.text for span in spans] == joined
    assert [place for span in spans for place in span.positions] == list(range(len(tokens)))


def test_sums_of_joined_positions() -> None:
    values = np.arange(10.0).reshape(2, 5)
    spans = words(("<s>", " a", "b", "c", " d"))
    assert summed(values, spans).tolist() == [[0, 6, 4], [5, 21, 9]]
    assert summed(values, pieces("abcde")).tolist() == values.tolist()
