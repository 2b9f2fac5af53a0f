"""Lookup or meaning: which methods learn what follows from a word?"""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import Answer, asks, of_all
from engine.studies.findings.select import at_end, captures_of, full_runs, methods_in
from engine.studies.findings.words import constraint_type, listed, method, number
from engine.studies.statistics import mean_interval, side

_MOST = 0.5


@asks("lookup", "Lookup or meaning: which methods learn what follows from a word?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: final inference accuracy by method and constraint type, mean over seeds.

    A method learns what follows where the intervals of all its types lie above 0.5 (most answers right), and does not
    where all lie below. Yes: every method learns it; partly: some mean of a method and type lies above; no: all lie
    below; else it cannot be told.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["inference", "paraphrase"])
    scores = {
        name: {kind: _by_method(runs, captures, name, kind) for kind in ("inference", "paraphrase")}
        for name in methods_in(runs)
    }
    figures = [figure for of in scores.values() for figure in of["inference"]]
    return Answer(
        of_all([side(figure, null=_MOST) for figure in figures]),
        f"{_sentence(scores)}.",
        figures,
        reference=_MOST,
        axis="inference accuracy at the end (line: half of the answers right)",
        evidence=[
            "Guessing among the five meanings of a type would give 0.2.",
            "What follows is asked of five words a type in one made-up world, of one small base model.",
        ],
    )


def _by_method(runs: pd.DataFrame, captures: pd.DataFrame, name: str, column: str) -> list[FindingFigure]:
    """A figure a constraint type, in the order of the tables."""
    own = captures[captures["run"].isin(runs.loc[runs["method"] == name, "run"])]
    kinds = list(dict.fromkeys(captures["constraint_type"]))
    return [_figure(name, kind, at_end(own[own["constraint_type"] == kind], column), column) for kind in kinds]


def _figure(name: str, kind: str, values: "pd.Series[Any]", column: str) -> FindingFigure:
    unit = f"{column} accuracy, {constraint_type(kind)}"
    return mean_interval(method(name), values, unit=unit, bounds=(0.0, 1.0))


def _sentence(scores: dict[str, dict[str, list[FindingFigure]]]) -> str:
    parts = []
    for name, of in scores.items():
        means = {kind: [f.value for f in figures if f.value is not None] for kind, figures in of.items()}
        if not means["inference"]:
            parts.append(f"{method(name)} was not asked")
            continue
        score = sum(means["inference"]) / len(means["inference"])
        ends = [(f.low, f.high) for f in of["inference"] if f.low is not None and f.high is not None]
        span = (
            f" (intervals from {number(min(low for low, _ in ends))} to {number(max(h for _, h in ends))})"
            if ends
            else ""
        )
        known = means["paraphrase"]
        beside = f", beside {number(sum(known) / len(known))} of the paraphrases" if known else ""
        parts.append(f"{method(name)} gets {number(score)} of the inferences right{span}{beside}")
    return listed(parts)
