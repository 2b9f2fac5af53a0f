"""What is missing from the circuit change of a run, and what to do about it, in plain sentences."""

from collections.abc import Mapping, Sequence

import numpy as np

from engine.analysis.prompt_circuits import PromptCircuit
from engine.domain.graphs import FIT_LIMIT
from engine.domain.numbers import below, count, plural, step_name

OfType = Mapping[int, Sequence[PromptCircuit]]  # by step


def notes_on(by_type: Mapping[str, OfType], steps: Sequence[int], n_asked: int | None = None) -> tuple[str, ...]:
    """`by_type`: the circuits of each constraint type, by the steps that have any; `steps`: all, ascending.

    `n_asked`: how many graphs there should be; without it, every prompt at every step.
    """
    if not by_type:
        return ("No graph of this run could be read. Trace it again.",)
    notes = [*_steps(by_type), *_missing(by_type, steps, n_asked)]
    for name, own in by_type.items():
        notes += _prompts(name.replace("_", " "), own)
    return (*notes, *_fits(by_type))


def _steps(by_type: Mapping[str, OfType]) -> list[str]:
    seen = sorted({step for own in by_type.values() for step in own})
    if len(seen) == 1:
        return [
            f"Only one checkpoint has graphs ({step_name(seen[0])}), and a change needs two. Trace the run again when "
            "it has more checkpoints, or train it with more checkpoints."
        ]
    if seen[0] != 0:
        return [f"The base has no graphs; the first are of {step_name(seen[0])}. So nothing is compared with the base."]
    return []


def _missing(by_type: Mapping[str, OfType], steps: Sequence[int], n_asked: int | None) -> list[str]:
    there = sum(len(side) for own in by_type.values() for side in own.values())
    prompts = sum(len({one.probe.id for side in own.values() for one in side}) for own in by_type.values())
    asked = prompts * len(steps) if n_asked is None else n_asked
    if there >= asked:
        return []
    return [
        f"{count(asked - there)} of {plural(asked, 'graph')} are missing or damaged. Each comparison uses the prompts "
        "that both of its checkpoints have. Trace the run again to fill the gaps."
    ]


def _prompts(name: str, own: OfType) -> list[str]:
    if max(len(side) for side in own.values()) > 1:
        return []
    return [
        f"{name}: only one prompt was traced, so there is no noise floor. Trace the run with at least 2 prompts of "
        "each type."
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
    remedy = "Train transcoders on this run, then trace it again."
    worst = min(low, key=lambda key: low[key])
    where = f"{worst[0].replace('_', ' ')}, {step_name(worst[1])}"
    figure = f"the lowest mean replacement score is {below(low[worst], FIT_LIMIT)} ({where})"
    if all(one.fit < FIT_LIMIT for own in by_type.values() for side in own.values() for one in side):
        return [f"The graphs explain too little of the model: {figure}, and {FIT_LIMIT:g} is needed. {remedy}"]
    steps = sorted({step for _, step in low})
    named = ", ".join(map(str, steps[:8])) + (" and later" if len(steps) > 8 else "")
    return [f"The graphs explain too little at step {named}: {figure}; {FIT_LIMIT:g} is needed. {remedy}"]
