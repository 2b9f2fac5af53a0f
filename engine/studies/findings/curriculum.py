"""Does a curriculum driven by circuit change help?"""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
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
from engine.studies.findings.words import COARSE, interval, policy, same_words, saves
from engine.studies.statistics import paired_difference, side

_CURRICULA = ("circuit_change", "under_learned")
_UNITS = {
    "paraphrase": "difference, in paraphrase accuracy",
    "inference": "difference, in inference accuracy",
    "steps": "difference, steps saved until all is learned",
}
Figures = dict[str, FindingFigure]  # by what is measured, keys of _UNITS


@asks("curriculum", "Does a curriculum driven by circuit change help?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Each curriculum against examples drawn alike, paired by corpus, method and seed: final scores, and the first
    captured step at which every type's paraphrase accuracy is 0.9 (one capture past the end where it never is).

    A score is kept where the interval of its difference ends above -0.05, and surely lost where it lies below 0 and
    reaches beyond -0.05. Yes: the circuits' curriculum keeps both scores, and one of them or the steps surely gains
    (interval above 0); no: it surely loses a score, or a gain is ruled out (both scores' intervals end below 0.05, and
    that of the steps below one capture); else, and with fewer than five pairs, it is inconclusive.
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
    return _answer(found, spec, even)


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


def _verdict(figures: Figures, spec: StudySpec) -> Verdict:
    scores = [figures["paraphrase"], figures["inference"]]
    if any(surely_lost(score) for score in scores):
        return "no"
    if not all(kept(score) for score in scores):
        return INCONCLUSIVE
    if any(side(figure) == "above" for figure in figures.values()):
        return "yes"
    no_better = all(side(score, null=EQUAL) == "below" for score in scores)
    return "no" if no_better and side(figures["steps"], null=spec.capture_every) == "below" else INCONCLUSIVE


def _sentence(verdict: Verdict, figures: Figures) -> str:
    if verdict == "yes":
        return "Showing more of the types whose circuits still change keeps the scores and gains something."
    if verdict == INCONCLUSIVE:
        return "Whether showing more of the types whose circuits still change helps is open."
    if any(surely_lost(figures[kind]) for kind in ("paraphrase", "inference")):
        return "Showing more of the types whose circuits still change ends with lower scores."
    return "Showing more of the types whose circuits still change makes no difference, for better or worse."


def _answer(found: dict[str, Figures], spec: StudySpec, even: pd.DataFrame) -> Answer:
    circuits = found["circuit_change"]
    verdict = _verdict(circuits, spec)
    steps = [figures["steps"] for figures in found.values()]
    scores = [figures[kind] for kind in ("paraphrase", "inference") for figures in found.values()]
    return Answer(
        verdict,
        _sentence(verdict, circuits),
        with_null(0.0, [*scores, *table_only(steps)]),
        axis="difference to drawing all types equally often",
        line="no difference",
        details=[
            f"Sampling {policy(name)} changes paraphrase accuracy by {interval(figures['paraphrase'])} and inference "
            "by "
            f"{interval(figures['inference'])}, and {saves(figures['steps'], 'steps')} until every "
            "type is learned."
            for name, figures in found.items()
        ],
        evidence=[
            f"Equal means that the interval rules out a loss of {EQUAL:g} or more. Learned means an accuracy of "
            f"{LEARNED:g}; a run that never got there counts as just past its end.",
            "There are only two types to choose between, and both end near 1.0, which leaves little to gain. With a "
            "curriculum examples are drawn by type, without one each is seen once an epoch: part of a difference may "
            "come from that.",
            COARSE,
            same_words(even["corpus"].nunique()),
        ],
    )
