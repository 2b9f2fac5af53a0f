"""All circuit change of one run: every checkpoint beside the one before it, the base and the last."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from engine.analysis.change import N_BOOT, Floors, change_counts, changes_between
from engine.analysis.layers import layer_shares
from engine.analysis.mean_circuits import CircuitStack, MeanCircuits, Weighting, by_probe, node_axis
from engine.analysis.noise_floor import floor_of
from engine.analysis.prompt_circuits import PromptCircuit
from engine.analysis.run_notes import notes_on
from engine.domain.errors import ComparisonRefused
from engine.domain.measures import Change, Measure, To

BASE_STEP = 0
CHANGE_COLUMNS: Final = (
    "step", "constraint_type", "to", "to_step", "measure", "change", "low", "high", "edge", "said", "n", "fit",
)  # fmt: skip
FLOOR_COLUMNS: Final = ("step", "constraint_type", "measure", "halves", "halves_high", "paraphrases", "edge", "n")
LAYER_COLUMNS: Final = ("step", "constraint_type", "layer", "share")
FIT_COLUMNS: Final = ("step", "constraint_type", "fit", "lowest_fit", "n")


@dataclass(frozen=True, eq=False)
class RunChanges:
    """Tables of one run, by constraint type and ascending step, and what they lack.

    changes, a row a step, type, other checkpoint and measure: step, constraint_type, to (previous, base or last),
        to_step, measure, change with low and high, edge (of the noise; NaN where it cannot be measured), said, n
        (prompts that both have), fit (mean replacement score, of the worse side). No checkpoint is laid beside itself.
    floors, a row a step, type and measure: halves, halves_high, paraphrases (NaN: one phrasing), edge, n. Types with
        one prompt have none.
    layers: share of the features' influence by layer.
    fits: mean and lowest replacement score of the n prompts.
    notes: plain sentences: what is missing, and what to do.
    """

    changes: pd.DataFrame
    floors: pd.DataFrame
    layers: pd.DataFrame
    fits: pd.DataFrame
    notes: tuple[str, ...]


def run_changes(
    circuits: Mapping[int, Sequence[PromptCircuit]], *, n_asked: int | None = None, n_boot: int = N_BOOT, seed: int = 0
) -> RunChanges:
    """Of the circuits by step, those of all constraint types together.

    A prompt that a step lacks is left out of the comparisons with that step. `n_asked`: how many graphs there should
    be; without it, each prompt at each step. Raises ComparisonRefused where models of different depth are mixed, or a
    prompt is given twice at a step.
    """
    tables = _Tables()
    by_type = {name: _of_type(circuits, name) for name in _types(circuits)}
    for name, own in by_type.items():
        _Type(name, own, n_boot=n_boot, seed=seed).fill(tables)
    fits = pd.DataFrame(tables.fits, columns=list(FIT_COLUMNS))
    return RunChanges(
        changes=pd.DataFrame(tables.changes, columns=list(CHANGE_COLUMNS)),
        floors=pd.DataFrame(tables.floors, columns=list(FLOOR_COLUMNS)),
        layers=pd.DataFrame(tables.layers, columns=list(LAYER_COLUMNS)),
        fits=fits,
        notes=notes_on(by_type, sorted(circuits), n_asked),
    )


def _types(circuits: Mapping[int, Sequence[PromptCircuit]]) -> list[str]:
    return sorted({one.probe.constraint_type for side in circuits.values() for one in side})


def _of_type(circuits: Mapping[int, Sequence[PromptCircuit]], name: str) -> dict[int, list[PromptCircuit]]:
    """By ascending step, of the steps that have any."""
    own = {step: [c for c in circuits[step] if c.probe.constraint_type == name] for step in sorted(circuits)}
    for step, side in own.items():
        if len({one.probe.id for one in side}) < len(side):
            raise ComparisonRefused(f"At step {step} a prompt of {name} is given twice. Give each prompt once.")
    return {step: by_probe(side) for step, side in own.items() if side}


@dataclass
class _Tables:
    """Rows so far."""

    changes: list[tuple[object, ...]] = field(default_factory=list)
    floors: list[tuple[object, ...]] = field(default_factory=list)
    layers: list[tuple[object, ...]] = field(default_factory=list)
    fits: list[tuple[object, ...]] = field(default_factory=list)


class _Type:
    """One constraint type of a run. Mean circuits are kept only as long as a comparison may still need them."""

    def __init__(self, name: str, circuits: Mapping[int, list[PromptCircuit]], *, n_boot: int, seed: int) -> None:
        self.name, self.circuits, self.n_boot, self.seed = name, circuits, n_boot, seed
        self.steps = list(circuits)
        self.axis = node_axis([one for side in circuits.values() for one in side])
        self.prompts = sorted({one.probe.id for side in circuits.values() for one in side})
        self.stacks: dict[int, CircuitStack] = {}
        self.floors: dict[int, Floors] = {}
        self._weightings: dict[tuple[str, ...], Weighting] = {}
        self._means: dict[tuple[int, tuple[str, ...]], MeanCircuits] = {}
        self._found: dict[tuple[int, int], dict[Measure, Change]] = {}

    def fill(self, tables: _Tables) -> None:
        for step, side in self.circuits.items():
            fits = [one.fit for one in side]
            tables.fits.append((step, self.name, float(np.mean(fits)), min(fits), len(side)))
            tables.layers += [(step, self.name, layer, share) for layer, share in enumerate(layer_shares(side))]
            tables.floors += self._floor_rows(step)
        for place, step in enumerate(self.steps):
            for to, to_step in self._others(place):
                tables.changes += self._change_rows(step, to, to_step)
            self._forget(but={step, self.steps[0], self.steps[-1]})

    def _others(self, place: int) -> Iterable[tuple[To, int]]:
        step = self.steps[place]
        if place:
            yield "previous", self.steps[place - 1]
        if step != BASE_STEP and BASE_STEP in self.circuits:
            yield "base", BASE_STEP
        if step != self.steps[-1]:
            yield "last", self.steps[-1]

    def _stack(self, step: int) -> CircuitStack:
        if step not in self.stacks:
            self.stacks[step] = CircuitStack.of(self.circuits[step], self.axis, self.prompts)
        return self.stacks[step]

    def _floor_rows(self, step: int) -> list[tuple[object, ...]]:
        side = self.circuits[step]
        found = floor_of(self._stack(step), [one.probe for one in side], seed=self.seed) if len(side) > 1 else {}
        self.floors[step] = found
        return [
            (
                step,
                self.name,
                measure,
                floor.halves,
                floor.halves_high,
                _number(floor.paraphrases),
                floor.edge,
                len(side),
            )
            for measure, floor in found.items()
        ]

    def _change_rows(self, step: int, to: To, to_step: int) -> list[tuple[object, ...]]:
        common = self._common(step, to_step)
        if not common:
            return []
        fit = min(float(np.mean([c.fit for c in self.circuits[s] if c.probe.id in common])) for s in (step, to_step))
        return [
            (step, self.name, to, to_step, measure, c.value, c.low, c.high, _number(c.edge), c.said, len(common), fit)
            for measure, c in self._changes(step, to_step, common).items()
        ]

    def _common(self, step: int, other: int) -> tuple[str, ...]:
        """Ids of the prompts that both have, ascending."""
        there = {one.probe.id for one in self.circuits[other]}
        return tuple(one.probe.id for one in self.circuits[step] if one.probe.id in there)

    def _changes(self, step: int, other: int, common: tuple[str, ...]) -> dict[Measure, Change]:
        early, late = sorted((step, other))
        if (early, late) not in self._found:
            a, b = self._mean(early, common), self._mean(late, common)
            self._found[early, late] = changes_between(a, b, (self.floors[early], self.floors[late]))
        return self._found[early, late]

    def _mean(self, step: int, common: tuple[str, ...]) -> MeanCircuits:
        if common not in self._weightings:
            counts = np.zeros((len(self.prompts), 1 + self.n_boot), dtype=np.int64)
            rows = [row for row, name in enumerate(self.prompts) if name in common]
            counts[rows] = change_counts(len(rows), n_boot=self.n_boot, seed=self.seed)
            self._weightings[common] = Weighting(counts)
        if (step, common) not in self._means:
            self._means[step, common] = self._stack(step).means(self._weightings[common])
        return self._means[step, common]

    def _forget(self, *, but: set[int]) -> None:
        self._means = {key: means for key, means in self._means.items() if key[0] in but}


def _number(value: float | None) -> float:
    """So that a column without any figure is one of floats all the same."""
    return float("nan") if value is None else value
