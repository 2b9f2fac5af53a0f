"""Can a curriculum be decided from circuits at equal or better performance?"""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.equality import kept, scores_at_end, surely_lost
from engine.studies.findings.select import (
    EQUAL,
    LEARNED,
    by_pair,
    captures_of,
    chosen,
    first_steps,
    full_runs,
    past_end,
)
from engine.studies.findings.words import changes, policy, saves
from engine.studies.statistics import paired_difference, side

_CURRICULA = ("circuit_change", "under_learned")
_UNITS = {
    "paraphrase": "difference, in paraphrase accuracy",
    "inference": "difference, in inference accuracy",
    "steps": "difference, steps saved until all is learned",
}
Figures = dict[str, FindingFigure]  # by what is measured, keys of _UNITS


@asks("curriculum", "Can a curriculum be decided from circuits at equal or better performance?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Each curriculum against examples drawn alike, paired by corpus, method and seed: final scores, and the first
    captured step at which every type's paraphrase accuracy is 0.9 (one capture past the end where it never is).

    A score is kept where the interval of its difference ends above -0.05, and surely lost where it lies below 0 and
    reaches beyond -0.05. Yes: the circuits' curriculum keeps both scores, and one of them or the steps surely gains
    (interval above 0); partly: it keeps both and surely gains nothing; no: it surely loses a score; else, and with
    fewer than five pairs, it cannot be told.
    """
    even = full_runs(tables, spec)
    ends = scores_at_end(tables)
    found: dict[str, Figures] = {}
    reason = ""
    for name in _CURRICULA:
        try:
            found[name] = _curriculum(name, chosen(tables, spec, curriculum=name), even, tables, spec, ends)
        except Missing as missing:
            reason = reason or str(missing)
    if "circuit_change" not in found:
        raise Missing(reason)
    return _answer(found)


def _curriculum(
    name: str,
    runs: pd.DataFrame,
    even: pd.DataFrame,
    tables: StudyTables,
    spec: StudySpec,
    ends: dict[str, "pd.Series[Any]"],
) -> Figures:
    def more(kind: str) -> FindingFigure:
        return paired_difference(policy(name), by_pair(runs, ends[kind]), by_pair(even, ends[kind]), unit=_UNITS[kind])

    ours, theirs = (by_pair(side_runs, _all_learned(tables, spec, side_runs)) for side_runs in (runs, even))
    return {
        "paraphrase": more("paraphrase"),
        "inference": more("inference"),
        "steps": paired_difference(policy(name), theirs, ours, unit=_UNITS["steps"]),
    }


def _all_learned(tables: StudyTables, spec: StudySpec, runs: pd.DataFrame) -> "pd.Series[Any]":
    """By run: the first step at which its last type was learned."""
    captures = captures_of(tables, runs, ["paraphrase"])
    return first_steps(captures).max(axis=1, skipna=False).fillna(past_end(captures, spec))


def _verdict(figures: Figures) -> Said:
    scores = [figures["paraphrase"], figures["inference"]]
    if any(surely_lost(score) for score in scores):
        return "no"
    if not all(kept(score) for score in scores):
        return UNTOLD
    return "yes" if any(side(figure) == "above" for figure in figures.values()) else "partly"


def _answer(found: dict[str, Figures]) -> Answer:
    circuits = found["circuit_change"]
    gains = [kind for kind, figure in circuits.items() if side(figure) == "above"]
    return Answer(
        _verdict(circuits),
        "Drawing more often the types whose circuits still move "
        f"{changes(circuits['paraphrase'], 'final paraphrase accuracy')} and "
        f"{changes(circuits['inference'], 'inference')}; it {saves(circuits['steps'], 'steps')} until every type is "
        f"learned{'.' if gains else ', so nothing is surely gained.'}",
        [figures[kind] for kind in _UNITS for figures in found.values()],
        reference=0.0,
        axis="difference to examples drawn alike",
        evidence=[
            f"Equal means: the interval rules out a loss of {EQUAL:g} or more. Learned means {LEARNED:g} accuracy; "
            "a run that never got there counts as just past its end.",
            "There are two types to choose between only, and where both end near 1.0 there is little to gain. Runs "
            "with a curriculum draw examples by type, where the others see each example once an epoch: part of a "
            "difference may come from that.",
        ],
    )
