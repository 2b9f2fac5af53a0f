"""How different circuits of one checkpoint are, where nothing was learned between them.

Two ways to see it. *Halves*: the prompts are split at random into two disjoint halves, each word's prompts between
both; how far the two mean circuits lie apart tells how much the choice of prompts matters. *Paraphrases*: the mean
circuits of two phrasings of the same words. A change between checkpoints that is no larger says nothing.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from engine.analysis.mean_circuits import CircuitPair, CircuitStack, Weighting, by_probe, node_axis
from engine.analysis.measures import MEASURES
from engine.analysis.prompt_circuits import PromptCircuit
from engine.domain.corpus import Probe
from engine.domain.measures import Floor, Measure

N_SPLITS = 20
_HIGH: Final = 95  # percent: the quantile over splits
_MAX_PAIRS: Final = 100  # of phrasings: with 15 of them every pair is measured, of more a random part


def noise_floor(circuits: Sequence[PromptCircuit], *, n_splits: int = N_SPLITS, seed: int = 0) -> dict[Measure, Floor]:
    """By measure; empty for fewer than two prompts. The order of the prompts does not matter.

    Raises ComparisonRefused where the circuits are of models of different depth.
    """
    circuits = by_probe(circuits)
    if len(circuits) < 2:
        return {}
    return floor_of(CircuitStack.of(circuits, node_axis(circuits)), [c.probe for c in circuits], n_splits, seed)


def floor_of(
    stack: CircuitStack, probes: Sequence[Probe], n_splits: int = N_SPLITS, seed: int = 0
) -> dict[Measure, Floor]:
    """Of two or more prompts, `probes` in the order of the stack's circuits."""
    rng = np.random.default_rng(seed)
    sides = [split_halves(probes, rng) for _ in range(n_splits)]
    sides += _phrasings(probes, rng)
    counts = np.zeros((2, stack.n_prompts, len(sides)), dtype=np.int64)
    counts[:, stack.rows] = np.array(sides).transpose(1, 2, 0)
    pair = CircuitPair.of(*(stack.means(Weighting(half)) for half in counts))
    floors = {}
    for measure, change in MEASURES.items():
        halves, paraphrases = np.split(change(pair), [n_splits])
        floors[measure] = Floor(
            halves=float(halves.mean()),
            halves_high=float(np.percentile(halves, _HIGH)),
            paraphrases=float(paraphrases.mean()) if len(paraphrases) else None,
        )
    return floors


def split_halves(probes: Sequence[Probe], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n_prompts,) bool twice: two disjoint halves of all prompts, their sizes at most one apart.

    Each word's prompts go to both halves alike; what is left over of each (its only prompt, say) is dealt in turn.
    """
    first = np.zeros(len(probes), dtype=bool)
    left: list[int] = []
    for rows in _grouped([probe.constraint for probe in probes]).values():
        mixed = rng.permutation(rows).tolist()
        first[mixed[: len(mixed) // 2]] = True
        left += mixed[2 * (len(mixed) // 2) :]
    first[rng.permutation(left).astype(int)[rng.integers(2) :: 2]] = True
    return first, ~first


def _phrasings(probes: Sequence[Probe], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """(n_prompts,) bool twice for each pair of phrasings that have words in common: the prompts of those words."""
    words = np.array([probe.constraint for probe in probes])
    rows = _grouped([probe.template for probe in probes])
    chosen = [np.isin(np.arange(len(probes)), rows[template]) for template in rows]
    pairs = []
    for one, other in combinations(chosen, 2):
        both = np.isin(words, np.intersect1d(words[one], words[other]))
        if both.any():
            pairs.append((one & both, other & both))
    if len(pairs) <= _MAX_PAIRS:
        return pairs
    return [pairs[place] for place in sorted(rng.choice(len(pairs), _MAX_PAIRS, replace=False).tolist())]


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """By name, ascending, the rows that have it."""
    rows: dict[str, list[int]] = {name: [] for name in sorted(set(names))}
    for row, name in enumerate(names):
        rows[name].append(row)
    return rows
