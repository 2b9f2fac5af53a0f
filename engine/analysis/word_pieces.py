"""Which tokens of a prompt are pieces of one word, told by the tokens' own blanks and marks."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

_BLANKS = ("Ġ", "▁")  # what tokenizers write for a blank before a word, where they do not write the blank
_GOES_ON = "##"  # before a piece that goes on a word, where pieces are marked instead of words


@dataclass(frozen=True)
class TokenSpan:
    """Tokens that stand together: positions `first` to `last`, both included."""

    first: int
    last: int
    text: str  # as the tokens are written

    @property
    def positions(self) -> range:
        return range(self.first, self.last + 1)


def pieces(tokens: Sequence[str]) -> tuple[TokenSpan, ...]:
    """Each token alone."""
    return tuple(TokenSpan(place, place, token) for place, token in enumerate(tokens))


def words(tokens: Sequence[str]) -> tuple[TokenSpan, ...]:
    """Pieces joined to words. The first token, which begins the text, is never a piece of one.

    A token goes on a word where a letter, digit or apostrophe follows another and its tokenizer marks the
    beginnings of words; where no token of the prompt has such a mark, all of them are words of their own. So are those
    of scripts that are written without blanks.
    """
    if not tokens:
        return ()
    marks_words = any(_begins_word(token) for token in tokens[1:])
    starts = [
        place
        for place, token in enumerate(tokens)
        if place < 2 or not _goes_on(tokens[place - 1], token, marks_words=marks_words)
    ]
    ends = [start - 1 for start in starts[1:]] + [len(tokens) - 1]
    return tuple(
        TokenSpan(first, last, _joined(tokens[first : last + 1])) for first, last in zip(starts, ends, strict=True)
    )


def unit(spans: Sequence[TokenSpan], *, can_join: bool) -> Literal["word", "token"]:
    """What each of the spans is called: tokens where a word of several (`can_join`) stands in its pieces."""
    return "token" if can_join and all(len(span.positions) == 1 for span in spans) else "word"


def summed(values: np.ndarray, spans: Sequence[TokenSpan]) -> np.ndarray:
    """(..., n_spans) sums of `values` (..., n_pos) over the positions of each span."""
    starts = [span.first for span in spans]
    found: np.ndarray = np.add.reduceat(values, starts, axis=-1) if starts else values
    return found


def _goes_on(before: str, token: str, *, marks_words: bool) -> bool:
    if token.startswith(_GOES_ON) and len(token) > len(_GOES_ON):
        return True
    ends = (before[-1:], token[:1])
    return marks_words and not _begins_word(token) and all(end and _is_inside(end) for end in ends)


def _begins_word(token: str) -> bool:
    return token[:1].isspace() or token.startswith(_BLANKS)


def _is_inside(character: str) -> bool:
    """Whether a word can go on here: letters, digits, accents, apostrophes."""
    is_letter = character.isalnum() or character in "'’" or unicodedata.category(character).startswith("M")
    return is_letter and unicodedata.east_asian_width(character) not in "WF"


def _joined(tokens: Sequence[str]) -> str:
    return tokens[0] + "".join(token.removeprefix(_GOES_ON) for token in tokens[1:])
