"""Which tokens stand out enough to be an automatic label of a feature. Rules, no model."""

import math
import unicodedata
from collections.abc import Iterable, Sequence

from engine.domain.feature_names import cut
from engine.figures.names import visible

FEWEST_PLACES = 3  # on fewer, what a feature is active on is an anecdote
LEAST_SHARE = 0.15  # of the activation at the strongest places: a token with less is not named
LEAST_TOGETHER = 0.5  # … and so much have the named ones together, else nothing is
MOST_ACTIVE, MOST_PROMOTED = 3, 3  # tokens


def most_active_on(tokens: Sequence[str], words: Sequence[str], activation: Sequence[float]) -> tuple[str, ...]:
    """The tokens that a feature's strongest places are about, the largest share first; none where they are mixed.

    Of each place: its token, the word up to it (`blarf` at its last piece `arf`), the activation there. Pieces count as
    one however they are written; a piece is shown as its word where it always ends the same one, and as `…arf` where it
    ends several.
    """
    shares: dict[str, float] = {}
    places: dict[str, list[int]] = {}
    total = sum(activation)
    for place, token in enumerate(tokens):
        name = _folded(token)
        shares[name] = shares.get(name, 0.0) + activation[place]
        places.setdefault(name, []).append(place)
    if len(tokens) < FEWEST_PLACES or not total > 0:
        return ()
    ranked = sorted(shares, key=lambda name: -shares[name])[:MOST_ACTIVE]  # of equals the one that came first
    named = [name for name in ranked if shares[name] >= LEAST_SHARE * total]
    if sum(shares[name] for name in named) < LEAST_TOGETHER * total:
        return ()
    return _readable(_as_word(places[name], tokens, words) for name in named)


def promoted(tokens: Sequence[str], effects: Sequence[float]) -> tuple[str, ...]:
    """What is written of the tokens that a decoder promotes beyond `chance`, the strongest first.

    `effects`: on their logits, above the mean over the vocabulary, the largest first. Named are those that have more
    than half of the first one's.
    """
    least = max(effects, default=0.0) / 2
    return _readable(token for token, effect in zip(tokens, effects, strict=True) if effect > least)[:MOST_PROMOTED]


def chance(n_vocab: int) -> float:
    """√(2 ln n): about the largest of so many normal draws, in deviations. A promoted token is further up, twice.

    Among the effects on all tokens, by their standard deviation: else tokens that nothing was learned of, which lie
    together, would be named all at once. And among the effects that directions drawn by chance have on that token: of
    length r, on a logit whose output row is u (minus the mean row), their standard deviation is r |u| / √d_model. Else
    tokens with long rows would stand out of nearly every direction.
    """
    return math.sqrt(2 * math.log(max(n_vocab, 2)))


def _folded(token: str) -> str:
    return visible(token).casefold()


def _as_word(places: Sequence[int], tokens: Sequence[str], words: Sequence[str]) -> str:
    own = [visible(words[place]) for place in places]
    token = visible(tokens[places[0]])
    if len({_folded(word) for word in own}) == 1:
        return own[0]
    return token if any(_folded(word) == _folded(token) for word in own) else f"…{token}"


def _readable(tokens: Iterable[str]) -> tuple[str, ...]:
    """As they are shown: each once however it is written, cut where it is long, without what nobody can read.

    Signs are quoted: `“,”` between commas.
    """
    found: dict[str, str] = {}
    for token in tokens:
        shown = visible("".join(map(_shown, token)))
        if token and _can_be_read(shown):
            found.setdefault(shown.casefold(), cut(shown) if any(map(str.isalnum, shown)) else f"“{cut(shown)}”")
    return tuple(found.values())


def _can_be_read(text: str) -> bool:
    """Not half a character of UTF-8, nor nothing at all."""
    return "\ufffd" not in text and any(
        not unicodedata.category(character).startswith(("C", "Z")) for character in text
    )


def _shown(character: str) -> str:
    """Marks that turn the direction of a text, and other invisible ones, as their code."""
    if unicodedata.category(character) in ("Cf", "Cc") and character not in "\n\t":
        return f"U+{ord(character):04X}"
    return character
