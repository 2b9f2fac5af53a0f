"""When a constraint type is learned and its circuit has come to rest.

Saturated at a capture: in the last `patience` captures the circuit changed by no more than the noise (with graphs that
fit well enough to say so), and the probe score neither rose nor fell: the Wilson intervals of those captures and of the
one before them all overlap. And before that it changed once, surely by more than the noise: a circuit that has not
formed yet is at rest too, with flat scores, and so is one that is not trained at all (learning rate 0).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.curves import wilson
from engine.domain.decisions import Capture, DecisionSettings
from engine.domain.measures import MEASURE_TITLES


@dataclass(frozen=True)
class Saturation:
    """What the captures so far say of one constraint type."""

    constraint_type: str
    step: int | None  # the first capture at which it is saturated; None: at none
    since: int | None  # the first capture of the quiet window that ends there
    reason: str  # a sentence for people, with the figures it rests on


def saturation(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, Saturation]:
    """By constraint type, of all that the captures name; captures ascending by step, the base first.

    Where a type is not saturated, the reason says what the newest captures lack.
    """
    return {name: _of_type(name, captures, settings) for name in _types(captures)}


def _of_type(constraint_type: str, captures: Sequence[Capture], settings: DecisionSettings) -> Saturation:
    for last in range(settings.patience, len(captures)):
        window = captures[last - settings.patience : last + 1]
        if _has_moved(constraint_type, captures[: last - settings.patience + 1], settings) and not _lacks(
            constraint_type, window, settings
        ):
            return Saturation(
                constraint_type, window[-1].step, window[1].step, _at_rest(constraint_type, window, settings)
            )
    if len(captures) <= settings.patience:
        reason = (
            f"Needs {settings.patience + 1} captures, the base included, and there "
            f"{'is' if len(captures) == 1 else 'are'} {len(captures)}."
        )
    else:
        reason = _lacks(constraint_type, captures[-settings.patience - 1 :], settings) or (
            "Its circuit has not changed by more than the noise yet: nothing has formed that could be at rest."
        )
    return Saturation(constraint_type, None, None, reason)


def _has_moved(constraint_type: str, earlier: Sequence[Capture], settings: DecisionSettings) -> bool:
    """Whether its circuit surely changed at one of these captures."""
    looks = [capture.look.of(constraint_type) for capture in earlier if capture.look]
    changes = [look.change.get(settings.measure) for look in looks if look and look.fit >= settings.min_fit]
    return any(change is not None and change.said == "change" for change in changes)


def _lacks(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> str:
    """Why a window of `patience` captures and the one before is not quiet, the newest first; empty where it is."""
    for capture in reversed(window[1:]):
        if reason := _unquiet(constraint_type, capture, settings):
            return reason
    return _moving_score(constraint_type, window, settings)


def _unquiet(constraint_type: str, capture: Capture, settings: DecisionSettings) -> str:
    look = capture.look.of(constraint_type) if capture.look else None
    if look is None:
        return f"At step {capture.step} no circuits were traced."
    if look.fit < settings.min_fit:
        return (
            f"At step {capture.step} the replacement score is {look.fit:.2f}, below {settings.min_fit:g}: the graphs "
            "say too little. Train transcoders on this run."
        )
    change = look.change.get(settings.measure)
    if change is None:
        return f"At step {capture.step} there is no change to judge: no circuit of the capture before."
    if change.edge is None:
        return f"At step {capture.step} the noise could not be measured. Watch at least two prompts of a type."
    if change.value > change.edge:
        return (
            f"At step {capture.step} the circuit changed by {change.value:.2f} ({_title(settings)}); the noise ends at "
            f"{change.edge:.2f}."
        )
    return ""


def _moving_score(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> str:
    found = _scores(constraint_type, window, settings)
    if len(found) < len(window):
        return f"Not every capture has {settings.probe_kind} probes of this type."
    low, high = wilson(found[:, 0], found[:, 1])
    if low.max() <= high.min():
        return ""
    share = found[:, 0] / found[:, 1]
    return (
        f"From step {window[0].step} to {window[-1].step} the {settings.probe_kind} score still moved, between "
        f"{share.min():.0%} and {share.max():.0%}."
    )


def _at_rest(constraint_type: str, window: Sequence[Capture], settings: DecisionSettings) -> str:
    looks = [capture.look.of(constraint_type) for capture in window[1:] if capture.look]
    changes = [look.change[settings.measure] for look in looks if look]
    largest = max(changes, key=lambda change: change.value)
    share = np.divide(*_scores(constraint_type, window, settings).T)
    return (
        f"From step {window[0].step} to {window[-1].step} the circuit changed by at most {largest.value:.2f} "
        f"({_title(settings)}; there the noise ends at {largest.edge:.2f}), and the {settings.probe_kind} score stayed "
        f"between {share.min():.0%} and {share.max():.0%}."
    )


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
    named += [look.constraint_type for capture in captures if capture.look for look in capture.look.types]
    return list(dict.fromkeys(named))
