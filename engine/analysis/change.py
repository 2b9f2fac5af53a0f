"""How much the circuit of one constraint type changed between two checkpoints."""

from collections.abc import Mapping, Sequence

import numpy as np

from engine.analysis.mean_circuits import CircuitPair, CircuitStack, MeanCircuits, Weighting, by_probe, node_axis
from engine.analysis.measures import MEASURES
from engine.analysis.prompt_circuits import PromptCircuit
from engine.analysis.resampling import bootstrap_counts, interval
from engine.domain.errors import ComparisonRefused
from engine.domain.measures import Change, Floor, Measure

Floors = Mapping[Measure, Floor]
N_BOOT = 200


def circuit_change(
    before: Sequence[PromptCircuit],
    after: Sequence[PromptCircuit],
    floors: tuple[Floors, Floors],
    *,
    n_boot: int = N_BOOT,
    seed: int = 0,
) -> dict[Measure, Change]:
    """By measure, the change between the mean circuits of the same prompts at two checkpoints.

    `floors`: of both checkpoints (`noise_floor`). The interval is a percentile bootstrap over prompts, both sides
    resampled alike; with one prompt it is the value alone. The order of the prompts does not matter.
    Raises ComparisonRefused where the prompts or the models' depths differ, or there is no prompt.
    """
    before, after = by_probe(before), by_probe(after)
    _check(before, after)
    axis = node_axis([*before, *after])
    by = Weighting(change_counts(len(before), n_boot=n_boot, seed=seed))
    a, b = (CircuitStack.of(side, axis).means(by) for side in (before, after))
    return changes_between(a, b, floors)


def change_counts(n: int, *, n_boot: int = N_BOOT, seed: int = 0) -> np.ndarray:
    """(n, 1 + n_boot) int: first every prompt once, then the resamples."""
    return np.column_stack([np.ones(n, dtype=np.int64), bootstrap_counts(n, n_boot, seed)])


def changes_between(a: MeanCircuits, b: MeanCircuits, floors: tuple[Floors, Floors]) -> dict[Measure, Change]:
    """By measure; both sides have one `Weighting`, with the columns of `change_counts`."""
    pair = CircuitPair.of(a, b)
    changes = {}
    for measure, change in MEASURES.items():
        value, *resampled = change(pair).tolist()
        low, high = interval(value, np.array(resampled))
        edges = [floor[measure].edge for floor in floors if measure in floor]
        edge = max(edges) if len(edges) == len(floors) else None
        changes[measure] = Change(value=value, low=low, high=high, edge=edge)
    return changes


def _check(before: Sequence[PromptCircuit], after: Sequence[PromptCircuit]) -> None:
    names = [[one.probe.id for one in side] for side in (before, after)]
    if names[0] != names[1]:
        odd = sorted(set(names[0]) ^ set(names[1])) or ["one is given twice"]
        raise ComparisonRefused(
            f"The two checkpoints were not traced on the same prompts: {len(names[0])} and {len(names[1])} of them, "
            f"and {len(odd)} on one side only, first “{odd[0]}”. Compare the prompts that both have."
        )
    if not names[0]:
        raise ComparisonRefused("There is no prompt to compare circuits on. Trace at least one at both checkpoints.")
