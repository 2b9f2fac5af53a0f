"""When a constraint type is learned and its circuit has settled.

Settled at a capture: in the last `patience` captures no measured change of the circuit was above the noise floor (with
graphs that fit well enough to say so), and the probe score neither rose nor fell: the Wilson intervals of those
captures and of the one before them all overlap. And before that the circuit changed once, with its whole interval above
the floor: a circuit that has not formed yet does not change either, with flat scores, and neither does one that is not
trained at all (learning rate 0).

What this does not say: each capture is compared with the one before, so a slow, steady drift passes; and the floor
misses even large changes (`engine.domain.measures.FLOOR_CAVEAT`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.curves import wilson
from engine.domain.decisions import Capture, DecisionSettings
from engine.domain.measures import DRIFT_CAVEAT, MEASURE_TITLES, Change
from engine.domain.numbers import below, decimal, plural, share_of, step_name


@dataclass(frozen=True)
class Saturation:
    """What the captures so far say of one constraint type."""

    constraint_type: str
    step: int | None  # the first capture at which it has settled; None: at none
    since: int | None  # the first of the captures without a change above the floor that end there
    reason: str  # a sentence for people, with the figures it rests on


def saturation(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, Saturation]:
    """By constraint type, of all that the captures name; captures ascending by step, the base first.

    Where a type has not settled, the reason says what the newest captures lack.
    """
    return {name: _of_type(name, captures, settings) for name in _types(captures)}


def rule_in_words(settings: DecisionSettings) -> str:
    """What is tested, and what passes it too: one for all constraint types."""
    return (
        f"Rule: at least one circuit change above the noise floor, then {plural(settings.patience, 'checkpoint')} in a "
        f"row without one, while the 95% intervals of the {settings.probe_kind} scores all overlap. {DRIFT_CAVEAT}"
    )


def change_at(constraint_type: str, capture: Capture, settings: DecisionSettings) -> Change | None:
    """The change of its circuit since the capture before, in the measure of the settings; None where there is none."""
    reading = capture.reading.of(constraint_type) if capture.reading else None
    return reading.change.get(settings.measure) if reading else None


def _of_type(constraint_type: str, captures: Sequence[Capture], settings: DecisionSettings) -> Saturation:
    for last in range(settings.patience, len(captures)):
        window = captures[last - settings.patience : last + 1]
        if _has_changed(constraint_type, captures[: last - settings.patience + 1], settings) and not _lacks(
            constraint_type, window, settings
        ):
            reason = _without_change(constraint_type, window, settings)
            return Saturation(constraint_type, window[-1].step, window[1].step, reason)
    if len(captures) <= settings.patience:
        reason = (
            f"{plural(settings.patience + 1, 'checkpoint')}, the base included, are needed, and there "
            f"{'is' if len(captures) == 1 else 'are'} {len(captures)}."
        )
    else:
        reason = _lacks(constraint_type, captures[-settings.patience - 1 :], settings) or (
            "Its circuit has not changed by more than the noise floor yet, so it may not have formed."
        )
    return Saturation(constraint_type, None, None, reason)


def _has_changed(constraint_type: str, earlier: Sequence[Capture], settings: DecisionSettings) -> bool:
    """Whether its circuit changed at one of these captures, with its whole interval above the floor."""
    readings = [capture.reading.of(constraint_type) for capture in earlier if capture.reading]
    changes = [
        reading.change.get(settings.measure) for reading in readings if reading and reading.fit >= settings.min_fit
    ]
    return any(change is not None and change.said == "change" for change in changes)


def _lacks(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> str:
    """Why `patience` captures, with the one before, do not pass, the newest first; empty where they do."""
    for capture in reversed(window[1:]):
        if reason := _disqualified(constraint_type, capture, settings):
            return reason
    return _moving_score(constraint_type, window, settings)


def _disqualified(constraint_type: str, capture: Capture, settings: DecisionSettings) -> str:
    reading, at = capture.reading.of(constraint_type) if capture.reading else None, f"At {step_name(capture.step)}"
    if reading is None:
        return f"{at} no circuits were traced."
    if reading.fit < settings.min_fit:
        return (
            f"{at} the replacement score is {below(reading.fit, settings.min_fit)}, below {settings.min_fit:g}: the "
            "graphs explain too little of the model. Train transcoders on this run."
        )
    change = reading.change.get(settings.measure)
    if change is None:
        return f"{at} there is no change to judge: the checkpoint before has no circuit."
    if change.edge is None:
        return f"{at} the noise floor could not be measured. Watch at least two prompts of each type."
    if change.value > change.edge:
        return (
            f"{at} the circuit changed by {decimal(change.value)} ({_title(settings)}), above the noise floor of "
            f"{decimal(change.edge)}."
        )
    return ""


def _moving_score(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> str:
    found = _scores(constraint_type, window, settings)
    if len(found) < len(window):
        return f"Not every checkpoint has {settings.probe_kind} probes of this type."
    low, high = wilson(found[:, 0], found[:, 1])
    if low.max() <= high.min():
        return ""
    return (
        f"From {step_name(window[0].step)} to {step_name(window[-1].step)} the {settings.probe_kind} score still moved "
        f"{_between(found)}."
    )


def _without_change(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> str:
    readings = [capture.reading.of(constraint_type) for capture in window[1:] if capture.reading]
    changes = [reading.change[settings.measure] for reading in readings if reading]
    largest = max(changes, key=lambda change: change.value)
    return (
        f"No change above the noise floor from {step_name(window[1].step)} to {step_name(window[-1].step)}: at most "
        f"{decimal(largest.value)} from one checkpoint to the next ({_title(settings)}), where the floor is "
        f"{decimal(largest.edge)}. The {settings.probe_kind} score was "
        f"{_between(_scores(constraint_type, window, settings))}."
    )


def _between(scores: np.ndarray) -> str:
    """Of few probes how many are right. `scores`: as of `_scores`."""
    shares = sorted((float(right / n), int(n)) for right, n in scores)
    return f"between {share_of(*shares[0])} and {share_of(*shares[-1])}"


def _scores(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> np.ndarray:
    """(n, 2) right ones and probes, of the captures that have any."""
    return np.array(
        [
            (score.n_correct, score.n)
            for capture in window
            for score in capture.scores
            if (score.constraint_type, score.probe_kind) == (constraint_type, settings.probe_kind) and score.n
        ],
        dtype=float,
    ).reshape(-1, 2)


def _title(settings: DecisionSettings) -> str:
    return MEASURE_TITLES[settings.measure].lower()


def _types(captures: Sequence[Capture]) -> list[str]:
    named = [score.constraint_type for capture in captures for score in capture.scores]
    named += [reading.constraint_type for capture in captures if capture.reading for reading in capture.reading.types]
    return list(dict.fromkeys(named))
