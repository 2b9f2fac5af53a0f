"""Which examples a step is trained on where a curriculum weighs the constraint types.

A batch follows from the seed, its step and the weights in force alone, so that a resumed run draws the same ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler

from engine.domain.runs import RunConfig

AHEAD = 2  # weights decided at step s act from step s + 2: when s is done, the batch of s + 1 is drawn already


class TypeSampler(Sampler[int]):
    """Rows by constraint type. An epoch has as many as the corpus has examples, and batches of the same sizes."""

    def __init__(
        self, types: Sequence[str], config: RunConfig, weights_at: Callable[[int], Mapping[str, float]]
    ) -> None:
        """`types` of the rows in their order; `weights_at(step)` are those in force, {} where none are."""
        names = dict.fromkeys(types)
        self._rows = {name: np.flatnonzero([own == name for own in types]) for name in names}
        self._n, self._batch_size, self._seed = len(types), config.batch_size, config.seed
        self._weights_at = weights_at
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Trainer before each epoch, also by a run that is resumed in the middle of one."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        starts = range(0, self._n, self._batch_size)
        first = self._epoch * len(starts) + 1
        for step, start in enumerate(starts, start=first):
            n = min(self._batch_size, self._n - start)
            yield from draw(self._rows, self._weights_at(step), n=n, seed=self._seed, step=step)


def draw(rows: Mapping[str, np.ndarray], weights: Mapping[str, float], *, n: int, seed: int, step: int) -> list[int]:
    """`n` of the rows, which are given by type. A generator of its own: the global ones are left alone.

    Each type has its share of the batch, rounded up or down by chance (systematic sampling, Madow 1949), so that a
    batch strays from the weights by less than one example a type. Within a type all rows are equally likely, and none
    comes twice in a batch before all have come.
    """
    rng = np.random.default_rng([seed, step])
    ends = np.cumsum(list(shares_of(list(rows), weights).values()))
    places = np.searchsorted(ends, (rng.random() + np.arange(n)) / n * ends[-1], side="right")
    counts = np.bincount(np.minimum(places, len(ends) - 1), minlength=len(ends))
    drawn: list[int] = []
    for own, count in zip(rows.values(), counts, strict=True):
        rounds = [rng.permutation(own) for _ in range(-(-int(count) // len(own)))]
        drawn += [int(row) for row in np.concatenate([*rounds, own[:0]])[:count]]
    return drawn


def shares_of(types: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    """The share of each of `types` (those with examples), sum 1.

    A type that the weights do not name counts as their mean; names without examples do not count. No weights: even.
    """
    mean = sum(weights.values()) / len(weights) if weights else 1.0
    found = {name: weights.get(name, mean) for name in types}
    total = sum(found.values())
    return {name: weight / total if total > 0 else 1 / len(types) for name, weight in found.items()}
