"""How early can final performance be predicted?"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.correlations import Correlation, correlations, predictors
from engine.studies.findings.select import at_end, captures_of, full_runs, nearest, steps_in
from engine.studies.findings.words import interval
from engine.studies.statistics import side

_STRONG = 0.5
_SHOWN = (0.25, 0.5, 0.75)  # of the steps


@dataclass(frozen=True)
class _Earliest:
    """The first capture at which a predictor tells the end, over all runs and within methods; None: at none."""

    across: Correlation | None
    within: Correlation | None


@asks("prediction", "How early can final performance be predicted?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: Spearman's correlation of what is known at a capture (paraphrase accuracy, how low the smoothed
    loss is, meaning overlap own - other; means over the types) with the inference accuracy at the end. A predictor
    tells the end from the first capture on at which its interval's low end is above 0.5. Since methods differ in
    everything, it counts within the methods only.

    Yes: one tells it within methods by half of the steps; partly: later, but before the last capture, or only over all
    methods; no: none tells it, and within methods every predictor's interval ends below 0.5 at half of the steps; else
    it cannot be told.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["inference"])
    final = at_end(captures, "inference")
    last = int(captures["step"].max())
    early = [step for step in steps_in(captures) if step < last]
    if not early:
        raise Missing("The runs have no capture before their end. Set a smaller “capture_every” in the study file.")
    found = {name: correlations(name, values, final, runs) for name, values in predictors(captures, early).items()}
    firsts = {name: _earliest(each) for name, each in found.items()}
    half = nearest(early, last / 2)
    return Answer(
        _verdict(found, firsts, half),
        _text(found, firsts, half),
        _figures(found, sorted({nearest(early, share * last) for share in _SHOWN})),
        reference=_STRONG,
        axis="rank correlation with final inference accuracy",
        evidence=_evidence(captures, final, found),
    )


def _earliest(each: list[Correlation]) -> _Earliest:
    def first(attribute: str) -> Correlation | None:
        strong = (one for one in each if side(getattr(one, attribute), null=_STRONG) == "above")
        return next(strong, None)

    return _Earliest(first("across"), first("within"))


def _verdict(found: dict[str, list[Correlation]], firsts: dict[str, _Earliest], half: int) -> Said:
    within = [one.within.step for one in firsts.values() if one.within]
    if within and min(within) <= half:
        return "yes"
    if within or any(one.across for one in firsts.values()):
        return "partly"
    at = [one.within for each in found.values() for one in each if one.step == half]
    return "no" if at and all(side(figure, null=_STRONG) == "below" for figure in at) else UNTOLD


def _text(found: dict[str, list[Correlation]], firsts: dict[str, _Earliest], half: int) -> str:
    told = sorted(
        ((one.within.step, name, one.within.within) for name, one in firsts.items() if one.within),
        key=lambda row: row[0],
    )
    if told:
        step, name, figure = told[0]
        return (
            f"From step {step} on, {name} tells which runs of one method will end well: rank correlation "
            f"{interval(figure)} with inference at the end."
        )
    apart = sorted(((one.across.step, name) for name, one in firsts.items() if one.across), key=lambda row: row[0])
    best = max((one for each in found.values() for one in each if one.step <= half), key=_strength, default=None)
    strongest = (
        f"; the strongest by half of the steps: {best.name} at step {best.step}, {interval(best.within)}"
        if best is not None and best.within.value is not None
        else ""
    )
    if apart:
        step, name = apart[0]
        return (
            f"From step {step} on, {name} tells the methods apart, but within a method nothing surely tells before "
            f"the end which run will end well{strongest}."
        )
    return f"Nothing that was measured surely tells before the end which run will end well{strongest}."


def _strength(one: Correlation) -> float:
    return -2.0 if one.within.value is None else one.within.value


def _figures(found: dict[str, list[Correlation]], shown: list[int]) -> list[FindingFigure]:
    kept = [one for each in found.values() for one in each if one.step in shown]
    return [*(one.within for one in kept), *(one.across for one in kept)]


def _evidence(captures: pd.DataFrame, final: "pd.Series[Any]", found: dict[str, list[Correlation]]) -> list[str]:
    n_top = int((final >= 1).sum())
    n_steps = captures["step"].nunique()
    return [
        *([f"{n_top} of {len(final)} runs end at 1.0, where ranks are ties."] if n_top else []),
        *(["Circuits were not looked at: meaning overlap is missing."] if len(found) < 3 else []),
        f"A correlation over all methods may only tell the methods apart. {len(found)} quantities at {n_steps - 2} "
        "captures were tried, and the earliest is told: it may owe something to luck.",
    ]
