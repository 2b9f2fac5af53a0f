"""What a transcoder feature stands for in one checkpoint: where it is active, and what its decoder writes."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.domain.record import Record

MOST_TOKENS: Final = 1024  # of a text that is looked through, BOS among them: attention takes memory for each pair


class FeatureKey(Record):
    """What made a table of feature facts: one checkpoint, one transcoder set, one list of texts."""

    checkpoint: str  # RUN@LABEL, canonical
    checkpoint_hash: str
    transcoders: str  # name of the set
    transcoders_hash: str
    texts_hash: str  # of the texts that were looked through

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


@dataclass(frozen=True, eq=False)
class FeatureText:
    """A text on which a feature is active. BOS is left out: features are zeroed there."""

    tokens: tuple[str, ...]
    activation: np.ndarray  # (n_tokens,) float32


@dataclass(frozen=True, eq=False)
class FeatureFacts:
    """One feature over all the texts that were looked through.

    `counts`: (n_bins,) active tokens by activation, bins of equal width from 0 to `max_activation`.
    `promoted`, `suppressed`: (token, direct effect on its logit of one unit of activation), the strongest first.
    """

    layer: int
    index: int
    n_tokens: int  # looked at
    n_active: int
    max_activation: float
    counts: np.ndarray
    texts: tuple[FeatureText, ...]  # most active first, each text once
    promoted: tuple[tuple[str, float], ...]
    suppressed: tuple[tuple[str, float], ...]

    @property
    def density(self) -> float:
        """Share of tokens on which it is active, 0 to 1."""
        return self.n_active / self.n_tokens if self.n_tokens else 0.0
