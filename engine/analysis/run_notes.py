"""What the circuit change of a run lacks, and what to do about it, in plain sentences."""

from collections.abc import Mapping, Sequence

import numpy as np

from engine.analysis.circuits import PromptCircuit
from engine.domain.graphs import FIT_LIMIT

OfType = Mapping[int, Sequence[PromptCircuit]]  # by step


def notes_on(by_type: Mapping[str, OfType], steps: Sequence[int], n_asked: int | None = None) -> tuple[str, ...]:
    """`by_type`: the circuits of each constraint type, by the steps that have any; `steps`: all, ascending.

    `n_asked`: how many graphs there should be; without it, every prompt at every step.
    """
    if not by_type:
        return ("There is no graph of this run that could be read. Analyse it (again).",)
    notes = [*_steps(by_type), *_missing(by_type, steps, n_asked)]
    for name, own in by_type.items():
        notes += _prompts(name.replace("_", " "), own)
    return (*notes, *_fits(by_type))


def _steps(by_type: Mapping[str, OfType]) -> list[str]:
    seen = sorted({step for own in by_type.values() for step in own})
    if len(seen) == 1:
        return [
            f"Only one checkpoint has graphs (step {seen[0]}), and a change needs two. Analyse the run when it has "
            "more checkpoints, or train it with more captures."
        ]
    if seen[0] != 0:
        return [f"The base has no graphs: the first are of step {seen[0]}. What changed since the base is not told."]
    return []


def _missing(by_type: Mapping[str, OfType], steps: Sequence[int], n_asked: int | None) -> list[str]:
    there = sum(len(side) for own in by_type.values() for side in own.values())
    prompts = sum(len({one.probe.id for side in own.values() for one in side}) for own in by_type.values())
    asked = prompts * len(steps) if n_asked is None else n_asked
    if there >= asked:
        return []
    return [
        f"{asked - there} of {asked} graphs are missing or damaged. Each comparison is made on the prompts that both "
        "of its checkpoints have. Analyse the run again: what is there is kept."
    ]


def _prompts(name: str, own: OfType) -> list[str]:
    if max(len(side) for side in own.values()) > 1:
        return []
    return [
        f"{name}: one prompt alone. Its noise cannot be measured, so that no change can be told from it. Analyse the "
        "run with at least 2 prompts of each type."
    ]


def _fits(by_type: Mapping[str, OfType]) -> list[str]:
    means = {
        (name, step): float(np.mean([one.fit for one in side]))
        for name, own in by_type.items()
        for step, side in own.items()
    }
    low = {key: fit for key, fit in means.items() if fit < FIT_LIMIT}
    if not low:
        return []
    remedy = "Train transcoders on this run, then analyse it again."
    worst = min(low, key=lambda key: low[key])
    figure = f"the lowest mean replacement score is {low[worst]:.2f} ({worst[0].replace('_', ' ')}, step {worst[1]})"
    if all(one.fit < FIT_LIMIT for own in by_type.values() for side in own.values() for one in side):
        return [f"All graphs fit too badly to say much: {figure}, and {FIT_LIMIT:g} is needed. {remedy}"]
    steps = sorted({step for _, step in low})
    named = ", ".join(map(str, steps[:8])) + (" and later" if len(steps) > 8 else "")
    return [f"Graphs fit badly at step {named}: {figure}; below {FIT_LIMIT:g} they say little. {remedy}"]
