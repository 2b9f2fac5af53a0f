"""Forward passes of some pairs, which share what comes before the first token that differs.

There no node writes anything else in one prompt than in the other, nor on the way between them, so that no edge has a
score there and no patch changes anything: keys and values of those positions are computed once and held.
"""

import numpy as np
import torch
from transformers import DynamicCache

from engine.components.model import ComponentModel
from engine.components.pairs import TokenPairs
from engine.components.tape import taped


class Passes:
    """Inside `ComponentModel.prepared`. Positions count from the first that is not shared by all pairs."""

    def __init__(self, parts: ComponentModel, pairs: TokenPairs) -> None:
        self._parts = parts
        self._n_shared = int(shared(pairs).min())
        self.clean = pairs.clean[:, self._n_shared :].to(parts.device)  # (n, n_pos) int64
        self.corrupted = pairs.corrupted[:, self._n_shared :].to(parts.device)
        self.last = (pairs.lengths - 1 - self._n_shared).to(parts.device)  # (n,) position of the last token
        self._held = self._hold(pairs.clean[:, : self._n_shared].to(parts.device)) if self._n_shared else []

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """(n, n_pos, d_vocab), or fewer positions where a hook lets only some through."""
        cache = DynamicCache()
        for number, (keys, values) in enumerate(self._held):
            cache.update(keys, values, number)
        return self._parts.logits(ids, cache=cache if self._held else None)

    @torch.no_grad()
    def _hold(self, ids: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """A layer an entry, (n, n_heads, n_shared, d_head) each."""
        cache = DynamicCache()
        # Only the last layer's keys and values are wanted of it: one position is enough for the rest.
        with taped(self._parts, last=torch.zeros(len(ids), dtype=torch.int64, device=ids.device)):
            self._parts.logits(ids, cache=cache)
        return [(layer.keys, layer.values) for layer in cache.layers]


def shared(pairs: TokenPairs) -> np.ndarray:
    """(n,) int64: tokens before the first that differs; never the last token, whose logits are read."""
    differs = pairs.clean != pairs.corrupted
    first = torch.where(differs.any(dim=1), differs.int().argmax(dim=1), pairs.lengths)
    found: np.ndarray = torch.minimum(first, pairs.lengths - 1).numpy()
    return found
