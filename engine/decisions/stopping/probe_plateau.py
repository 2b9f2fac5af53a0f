"""Stop when the probe scores no longer move: when their confidence intervals all overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.analysis.curves import wilson
from engine.domain.decisions import Capture, DecisionSettings, TypeScore, Verdict
from engine.domain.numbers import count, plural, step_name
from engine.domain.words import listed, spoken

FEWEST: Final = 6  # probes of a type: of 5, only none right and all right have intervals that do not overlap


@dataclass(frozen=True)
class _Point:
    """A score with Wilson's interval."""

    step: int
    score: TypeScore
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.score.n_correct} of {self.score.n} right at {step_name(self.step)}"


def decide(captures: Sequence[Capture], settings: DecisionSettings) -> Verdict:
    """Stops where no constraint type's score of `probe_kind` has moved over the last `patience + 1` captures.

    Not moved: all of Wilson's intervals have a point in common. Types without such probes are not followed.
    """
    window = captures[-(settings.patience + 1) :]
    curves = {
        score.constraint_type: [point for one in window if (point := _point(one, score, settings))]
        for score in (window[-1].scores if window else ())
        if score.probe_kind == settings.probe_kind and score.n > 0
    }
    probes = f"{settings.probe_kind} probes"
    if not curves:
        return Verdict(stop=False, reason=f"There are no scores of {probes} to follow.")
    if len(window) <= settings.patience:
        so_far = plural(len(window), "checkpoint")
        need = f"{count(settings.patience + 1)} in a row are needed"
        return Verdict(
            stop=False, reason=f"Too early to say whether the {probes} are flat: {so_far} so far, and {need}."
        )
    flat = tuple(name for name, points in curves.items() if len(points) == len(window) and _overlap(points))
    if len(flat) < len(curves):
        name, points = next((name, points) for name, points in curves.items() if name not in flat)
        return Verdict(stop=False, reason=_why_not(name, points, window, probes), saturated=flat)
    figures = listed([f"{spoken(name)} {points[-1]}" for name, points in curves.items()])
    few = any(point.score.n < FEWEST for points in curves.values() for point in points)
    doubt = f", as of fewer than {FEWEST} they nearly always do: with so few nothing can be told" if few else ""
    return Verdict(
        stop=True,
        reason=f"The {probes} are flat from {step_name(window[0].step)} to {step_name(window[-1].step)} (their 95% "
        f"intervals all overlap{doubt}): {figures}.",
        saturated=flat,
    )


def _point(capture: Capture, like: TypeScore, settings: DecisionSettings) -> _Point | None:
    """The score of the same type and kind at another capture; None where it is missing."""
    for score in capture.scores:
        if score.constraint_type == like.constraint_type and score.probe_kind == settings.probe_kind and score.n > 0:
            low, high = wilson(np.array([score.n_correct], dtype=float), np.array([score.n], dtype=float))
            return _Point(capture.step, score, float(low[0]), float(high[0]))
    return None


def _overlap(points: Sequence[_Point]) -> bool:
    return max(point.low for point in points) <= min(point.high for point in points)


def _why_not(name: str, points: Sequence[_Point], window: Sequence[Capture], probes: str) -> str:
    missing = [one.step for one in window if one.step not in {point.step for point in points}]
    if missing:
        return f"The {probes} of {spoken(name)} were not measured at {step_name(missing[-1])}."
    ends = (min(points, key=lambda point: point.high), max(points, key=lambda point: point.low))
    first, second = sorted(ends, key=lambda point: point.step)
    return f"The {probes} of {spoken(name)} still move: {first}, {second}."
