"""Mean circuits under many weightings at once, against the same with dense matrices and one weighting at a time."""

import numpy as np
import pytest

from engine.analysis.change import change_counts
from engine.analysis.mean_circuits import CircuitPair, CircuitStack, Weighting, node_axis
from engine.analysis.measures import MEASURES
from engine.analysis.prompt_circuits import PromptCircuit
from tests.analysis.circuit_makers import prompts, random_circuit

Named = dict[object, float]


def nodes_and_edges(circuit: PromptCircuit) -> tuple[Named, Named]:
    names = circuit.nodes.tolist()
    ends = zip(circuit.source.tolist(), circuit.target.tolist(), circuit.share.tolist(), strict=True)
    return dict(zip(names, circuit.influence.tolist(), strict=True)), {(names[s], names[t]): v for s, t, v in ends}


def mean(prompts: list[Named], counts: np.ndarray) -> tuple[Named, set[object]]:
    n = int(counts.sum())
    values: Named = {}
    kept: Named = {}
    for one, count in zip(prompts, counts.tolist(), strict=True):
        for name, value in one.items():
            values[name] = values.get(name, 0) + count * value / n
            kept[name] = kept.get(name, 0) + count
    return values, {name for name, count in kept.items() if count >= max(1, n / 4)}


def slow(sides: list[list[PromptCircuit]], counts: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """In the order of MEASURES, by their definitions."""
    found = []
    for part in (0, 1):
        both = [mean([nodes_and_edges(one)[part] for one in side], by) for side, by in zip(sides, counts, strict=True)]
        (a, in_a), (b, in_b) = both
        names = list(a.keys() | b.keys())
        x, y = (np.array([side.get(name, 0) for name in names]) for side in (a, b))
        less = sum(np.minimum(np.maximum(s * x, 0), np.maximum(s * y, 0)).sum() for s in (1, -1))
        more = sum(np.maximum(np.maximum(s * x, 0), np.maximum(s * y, 0)).sum() for s in (1, -1))
        found.append((1 - less / more, 1 - len(in_a & in_b) / len(in_a | in_b)))
    (influence, node_jaccard), (edge_similarity, edge_jaccard) = found
    return [influence, edge_similarity, node_jaccard, edge_jaccard]


@pytest.mark.parametrize("seed", range(3))
def test_two_checkpoints_weighted_alike(seed):
    own = prompts(3)
    sides = [[random_circuit(seed * 100 + start + row, one) for row, one in enumerate(own)] for start in (0, 50)]
    sides[1][:2] = sides[0][:2]  # two prompts do not change: what only one of them has is the same in both
    axis = node_axis([*sides[0], *sides[1]])
    by = Weighting(change_counts(len(own), n_boot=25, seed=seed))
    pair = CircuitPair.of(*(CircuitStack.of(side, axis).means(by) for side in sides))
    got = np.stack([measure(pair) for measure in MEASURES.values()], axis=1)
    for column, counts in enumerate(by.counts.T):
        np.testing.assert_allclose(got[column], slow(sides, (counts, counts)), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_one_checkpoint_weighted_in_two_ways(seed):
    own = prompts(3)
    side = [random_circuit(seed * 100 + row, one) for row, one in enumerate(own)]
    stack = CircuitStack.of(side, node_axis(side))
    half = np.array([[1, 1, 0, 0, 0, 1], [1, 0, 1, 0, 1, 0]]).T
    pair = CircuitPair.of(stack.means(Weighting(half)), stack.means(Weighting(1 - half)))
    got = np.stack([measure(pair) for measure in MEASURES.values()], axis=1)
    for column, counts in enumerate(half.T):
        np.testing.assert_allclose(got[column], slow([side, side], (counts, 1 - counts)), atol=1e-12)
