"""Facts of features in words and excerpts. Pure, and without pandas: pages and the command line share them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from engine.domain.features import FeatureFacts, FeatureText
from engine.domain.numbers import count, decimal, percent

Weighted = tuple[tuple[str, float], ...]  # (token, effect)
MOST_TOKENS = 14  # of a text that are shown
BARS = " ▁▂▃▄▅▆▇█"


def activity(facts: FeatureFacts) -> str:
    """`active on 3.1% of 5,213 tokens, at most 4.21`."""
    if not facts.n_active:
        return f"active on none of {facts.n_tokens:,} tokens"
    share = percent(facts.density, digits=0 if facts.density >= 0.0995 else 1)
    return f"active on {share} of {count(facts.n_tokens)} tokens, at most {decimal(facts.max_activation)}"


def bars(counts: np.ndarray) -> str:
    """A character a bin: the height is the logarithm of the count, and what is not 0 is seen."""
    if not counts.any():
        return BARS[0] * len(counts)
    heights = np.ceil(np.log1p(counts) / np.log1p(counts.max()) * (len(BARS) - 1))
    return "".join(BARS[int(height)] for height in heights)


@dataclass(frozen=True)
class Excerpt:
    """Consecutive tokens of a text, with the one of its highest activation among them."""

    tokens: tuple[str, ...]
    activation: tuple[float, ...]
    peak: int  # place of the highest activation in `tokens`
    cut_before: bool  # something was left out
    cut_after: bool


def excerpt(text: FeatureText, most: int = MOST_TOKENS) -> Excerpt:
    """At most so many tokens; of a longer text those around its peak, more of them before it: a feature reads back."""
    n, peak = len(text.tokens), int(np.argmax(text.activation))
    first = min(max(0, peak - (2 * most) // 3), max(0, n - most))
    last = min(n, first + most)
    return Excerpt(
        tokens=text.tokens[first:last],
        activation=tuple(text.activation[first:last].tolist()),
        peak=peak - first,
        cut_before=first > 0,
        cut_after=last < n,
    )


def paired(a: Sequence[FeatureText], b: Sequence[FeatureText]) -> list[tuple[FeatureText | None, FeatureText | None]]:
    """Rows of two columns: first the texts that both have, beside each other and in A's order, then the others."""
    in_a, in_b = ({text.tokens: text for text in side} for side in (a, b))
    both = [(text, in_b[tokens]) for tokens, text in in_a.items() if tokens in in_b]
    alone_a = [text for tokens, text in in_a.items() if tokens not in in_b]
    alone_b = [text for tokens, text in in_b.items() if tokens not in in_a]
    return [*both, *zip_longest(alone_a, alone_b)]
