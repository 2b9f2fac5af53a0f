"""Which words of different prompts stand for the same thing.

Probes of one constraint type are phrasings with places to fill: “the {n} feels {w} and” gives “the cat feels blarf
and”. A *slot* is such a place, or one literal word of the phrasing; a second “the” is another slot than the first.
Positions of different prompts with one slot are the same place of the mean circuit:

- position 0 is the beginning of the sequence, the last position (where the answer is predicted) is one slot of all
  phrasings, whatever word stands there;
- a word that the tokenizer splits has a slot for each of its tokens, counted from its beginning;
- a literal word that only some phrasings have is a slot of theirs alone.

Slots are ordered by where their word begins on average, as a share of the prompt's length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from engine.analysis.word_pieces import TokenSpan
from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.errors import ComparisonRefused

_WORD, _KNOWN, _BEGIN = "{w}", "{known}", "{begin}"
NEW_WORD: Final = "new word"  # its label
_LABELS: Final = {_WORD: NEW_WORD, _KNOWN: "known word", "{n}": "noun", "{c}": "meaning"}
_SEVERAL = "last word"  # where the phrasings end in different words
_PIECE = re.compile(r"\{[wnc]\}|(?:(?!\{[wnc]\})\S)+")
_JOINT = re.compile(r"[\sĠ▁]+")  # blanks, and what tokenizers write for them


@dataclass(frozen=True, order=True)
class Slot:
    """A place in a phrasing: `word` is literal or a placeholder, `occurrence` counts it from 1, `offset` its tokens."""

    word: str
    occurrence: int = 1
    offset: int = 0

    @property
    def label(self) -> str:
        """For people: `the`, `noun`, `new word (2)` for its second token."""
        return _LABELS.get(self.word, self.word) + (f" ({self.offset + 1})" if self.offset else "")


BEGIN, LAST = Slot(_BEGIN), Slot("{last}")


@dataclass(frozen=True, eq=False)
class Alignment:
    """`names`: of the slots, in order; `rows`: for each prompt, (n_pos,) the slot of every position; `words`: which
    slots are the tokens of one word, in the same order."""

    names: tuple[str, ...]
    rows: tuple[np.ndarray, ...]
    words: tuple[TokenSpan, ...]


def probe_slots(probe: Probe, tokens: Sequence[str]) -> tuple[Slot, ...]:
    """(n_pos,) the slot of each token; `tokens` is the prompt as the model reads it, the first its begin mark.

    Raises ComparisonRefused where the prompt does not follow the probe's template, or the tokens do not spell it.
    """
    spelled = [_JOINT.sub("", token) for token in tokens[1:]]
    if "".join(spelled) != _JOINT.sub("", probe.text):
        raise ComparisonRefused(
            f"The tokens {' '.join(tokens)[:200]} do not spell the prompt “{probe.text[:200]}”, so that its words "
            "cannot be found in them. Look at this prompt alone."
        )
    owners = [Slot(word, occurrence) for word, occurrence, text in _words(probe) for _ in _JOINT.sub("", text)]
    slots, place, seen = [BEGIN], 0, dict[Slot, int]()
    for text in spelled:
        word = owners[min(place, len(owners) - 1)]  # of the character that the token begins with
        slots.append(Slot(word.word, word.occurrence, seen.get(word, 0)))
        seen[word] = seen.get(word, 0) + 1
        place += len(text)
    return tuple(slots)


def align(prompts: Sequence[tuple[Slot, ...]], *, begin_mark: str = "<bos>") -> Alignment:
    """One axis for all prompts, each given as the slots of its positions (at least two). `begin_mark`: as the model
    that reads them writes it."""
    ends = {slots[-1] for slots in prompts}
    last = next(iter(ends)).label if len(ends) == 1 else _SEVERAL
    own = [(*slots[:-1], LAST) for slots in prompts]
    starts: dict[tuple[str, int], list[float]] = {}
    for slots in own:
        for position, slot in enumerate(slots):
            if slot.offset == 0:
                starts.setdefault((slot.word, slot.occurrence), []).append(position / (len(slots) - 1))
    begin = {word: sum(sorted(places)) / len(places) for word, places in starts.items()}
    order = sorted({slot for slots in own for slot in slots}, key=lambda s: (begin[s.word, s.occurrence], s))
    row = {slot: number for number, slot in enumerate(order)}
    named = {LAST: last, BEGIN: begin_mark}
    names = tuple(named.get(slot) or slot.label for slot in order)
    starts_word = [place for place, slot in enumerate(order) if slot.offset == 0]
    words = [TokenSpan(a, b - 1, names[a]) for a, b in pairwise([*starts_word, len(order)])]
    return Alignment(names, tuple(np.array([row[slot] for slot in slots]) for slots in own), tuple(words))


def lined_up(probes: Sequence[Probe]) -> str:
    """One sentence of what a mean over these probes lays together."""
    n = len({probe.template for probe in probes})
    if n == 1:
        return "Their one phrasing is lined up word by word."
    return (
        f"Their {n} phrasings are lined up where they have the same word, the new word or the last word; what one "
        "lacks counts as 0 in it."
    )


def _words(probe: Probe) -> list[tuple[str, int, str]]:
    """The pieces of the template in order: the piece, which of its kind it is, the text that stands for it."""
    pieces = _PIECE.findall(probe.template)
    parts = [_pattern(piece, probe, first=piece not in pieces[:number]) for number, piece in enumerate(pieces)]
    found = re.fullmatch(r"\s*".join(parts), probe.text.strip())
    if found is None:
        raise ComparisonRefused(
            f"The prompt “{probe.text[:200]}” does not follow its template “{probe.template[:200]}”, so its words "
            "cannot be aligned with those of other prompts. Correct the template, or view this prompt alone."
        )
    counts: dict[str, int] = {}
    words = []
    for piece in pieces:
        counts[piece] = counts.get(piece, 0) + 1
        text = found[piece[1]] if piece in ("{n}", "{c}") else probe.constraint if piece == _WORD else piece
        word = _KNOWN if piece == _WORD and PROBE_KINDS[probe.kind].known_words else piece
        words.append((word, counts[piece], text))
    return words


def _pattern(piece: str, probe: Probe, *, first: bool) -> str:
    """A noun is the same each time; so said, a template of a thousand {n} takes no longer to match than one."""
    if piece in ("{n}", "{c}"):
        return rf"(?P<{piece[1]}>\S.*?)" if first else f"(?P={piece[1]})"
    return re.escape(probe.constraint if piece == _WORD else piece)
