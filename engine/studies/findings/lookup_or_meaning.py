"""Do all methods learn what follows from a new word?"""

from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.curves import wilson
from engine.domain.numbers import percent, plural
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Verdict, asks, of_all, table_only, with_null
from engine.studies.findings.select import at_end, captures_of, full_runs, methods_in
from engine.studies.findings.words import N_WORDS, constraint_type, interval, method
from engine.studies.statistics import mean_interval, side

_MOST = 0.5
Scores = dict[str, list[FindingFigure]]  # by method, a figure a constraint type


@asks("lookup", "Do all methods learn what follows from a new word?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: final inference accuracy by method and constraint type, mean over seeds.

    A run mostly gets all probes of a word right or none, and all runs share the words. So the interval is Wilson's over
    words, not over probes or runs: n is five words for each corpus. A method learns what follows where the intervals of
    all its types lie above 0.5 (most answers right), and does not where all lie below. Yes: every method learns it;
    partly: some mean of a method and type lies above; no: all lie below; else it is inconclusive.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["inference", "paraphrase"])
    over_words, over_runs, paraphrases = (
        {name: _by_type(runs, captures, name, column, words=words) for name in methods_in(runs)}
        for column, words in (("inference", True), ("inference", False), ("paraphrase", False))
    )
    figures = [figure for of in over_words.values() for figure in of]
    verdict = of_all([side(figure, null=_MOST) for figure in figures])
    return Answer(
        verdict,
        _sentence(verdict, over_words),
        [
            *with_null(_MOST, figures),
            *table_only(figure for of in (*over_runs.values(), *paraphrases.values()) for figure in of),
        ],
        axis="inference accuracy at the end",
        line="half of the answers right",
        details=[
            *(_detail(name, over_words[name], paraphrases[name]) for name in over_words),
            f"n counts words; each is asked in {plural(runs['seed'].nunique(), 'run')} of the method.",
        ],
        evidence=[
            f"There are {N_WORDS} words per type, mostly answered all right or all wrong: each counts once, however "
            "many probes and seeds ask for it. Intervals over runs are in the table; they hold for these words only.",
            f"Guessing among the {N_WORDS} meanings of a type would give {percent(1 / N_WORDS)}.",
            "One made-up world, one small base model.",
        ],
    )


def _by_type(runs: pd.DataFrame, captures: pd.DataFrame, name: str, column: str, *, words: bool) -> list[FindingFigure]:
    """A figure a constraint type, in the order of the tables."""
    own_runs = runs[runs["method"] == name]
    own = captures[captures["run"].isin(own_runs["run"])]
    n_words = N_WORDS * own_runs["corpus"].nunique() if words else 0
    kinds = list(dict.fromkeys(captures["constraint_type"]))
    return [
        _figure(name, kind, at_end(own[own["constraint_type"] == kind], column), column, n_words=n_words)
        for kind in kinds
    ]


def _figure(name: str, kind: str, values: "pd.Series[Any]", column: str, *, n_words: int) -> FindingFigure:
    """With n_words an interval over words, else over runs."""
    unit = f"{column} accuracy, {constraint_type(kind)}"
    by_run = mean_interval(method(name), values, unit=unit if n_words else f"{unit} (over runs)", bounds=(0.0, 1.0))
    if not n_words or by_run.value is None:
        return by_run
    low, high = wilson(np.array([by_run.value * n_words]), np.array([float(n_words)]))
    ends = {"low": round(float(low[0]), 5), "high": round(float(high[0]), 5)}
    return by_run.model_copy(update={**ends, "n": n_words})


def _sentence(verdict: Verdict, scores: Scores) -> str:
    if verdict == "yes":
        return "All methods learn what follows from most of the new words."
    if verdict == "no":
        return "No method learns what follows from most of the new words."
    by_method = {name: [side(figure, null=_MOST) for figure in of] for name, of in scores.items()}
    clear = [f"“{method(name)}”" for name, sides in by_method.items() if set(sides) == {"above"}]
    others = [f"“{method(name)}”" for name, sides in by_method.items() if set(sides) != {"above"}]
    if verdict == INCONCLUSIVE or not clear:
        return "With so few words, it is open which methods learn what follows from most of them."
    verb = "learns" if len(clear) == 1 else "learn"
    return (
        f"{listed(clear)} clearly {verb} what follows from most of the new words; {listed(others)} "
        f"{'does' if len(others) == 1 else 'do'} not clearly do so."
    )


def _detail(name: str, inferences: list[FindingFigure], paraphrases: list[FindingFigure]) -> str:
    each = ", ".join(f"{interval(figure)} for {figure.unit.partition(', ')[2]}" for figure in inferences)
    return f"{method(name)}: {_mean(paraphrases)} of the paraphrases; of the inferences {each}."


def _mean(figures: list[FindingFigure]) -> str:
    values = [figure.value for figure in figures if figure.value is not None]
    return percent(sum(values) / len(values)) if values else "an unknown share"
