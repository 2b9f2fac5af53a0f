"""Which examples taught it: do those that are said to have taught a word carry its answer?"""

from typing import Any

import pandas as pd

from engine.domain.numbers import decimal
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.findings.answer import Answer, Missing, Verdict, asks, of_all, with_null
from engine.studies.findings.select import need
from engine.studies.findings.words import interval, method
from engine.studies.statistics import mean_interval, paired_difference, side

_COLUMNS = [
    "run", "constraint", "whole", "without_first", "without_last", "without_random", "n_left_out", "n_about",
    "n_looked_at", "n_own", "n_examples",
]  # fmt: skip
_GROUPS = {"first": "without_first", "random": "without_random", "last": "without_last"}


@asks("taught", "Which examples taught it: does the answer rest on those that are named first?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Of each word and run the examples are ranked by how far training on them pushed toward the word's answer. Then
    the first ones are left out, and the run is made again with the same seed; so are random ones and the last ones.
    What that costs is told in nats of the right answer's log-probability at the end. Words are the sample: of each the
    mean over runs is taken first.

    Yes: for each method, leaving out the first surely costs more than leaving out random ones, and surely more of the
    first are about the word than by chance; partly: for some; no: for none, and each is resolved; else it is
    inconclusive.
    """
    rows = _rows(tables)
    methods = list(dict.fromkeys(rows["method"]))
    by_method = {name: rows[rows["method"] == name].groupby("constraint", sort=False) for name in methods}
    n, n_looked = int(rows["n_left_out"].iloc[0]), int(rows["n_looked_at"].iloc[0])
    chance = float((rows["n_own"] / rows["n_examples"]).mean()) * n_looked
    loss: dict[tuple[str, str], pd.Series[Any]] = {
        (name, group): words[group].mean() for name, words in by_method.items() for group in _GROUPS
    }
    about = with_null(
        chance,
        [
            mean_interval(method(name), words["n_about"].mean(), unit="examples, about the word of the first "
                          f"{n_looked}", bounds=(0.0, float(n_looked)))
            for name, words in by_method.items()
        ],
    )  # fmt: skip
    whole = [mean_interval(method(name), words["whole"].mean()) for name, words in by_method.items()]
    more = {name: paired_difference("", loss[name, "first"], loss[name, "random"]) for name in methods}
    verdict = of_all([*(side(figure) for figure in more.values()), *(side(one, null=chance) for one in about)])
    nats = [
        mean_interval(f"{group} {n}, {method(name)}", loss[name, group], unit="nats, lost without the examples")
        for name in methods for group in _GROUPS
    ]  # fmt: skip
    return Answer(
        verdict,
        _sentence(verdict, more, n),
        [*with_null(0.0, nats), *about],
        axis="log-probability of the right answer (nats)",
        line=f"nothing lost; {chance:.1f} of {n_looked} examples, which is chance",
        details=[
            *(_told(name, {group: loss[name, group] for group in _GROUPS}, more[name], n) for name in methods),
            f"Trained on all examples, the log-probability is {_each(whole, 2)}.",
            f"Of the first {n_looked} examples, about the word: {_each(about, 1)}. By chance it would be {chance:.1f}.",
        ],
        evidence=_evidence(rows),
    )


def _rows(tables: StudyTables) -> pd.DataFrame:
    """With each run's method, and what was lost of each group. Raises Missing."""
    if tables.taught.empty:
        raise Missing("No run of the study was made again without its examples. Add “measure: [taught]” to a grid.")
    rows = need(tables.taught, _COLUMNS).merge(need(tables.runs, ["run", "method", "seed"]), on="run")
    return rows.assign(**{group: rows["whole"] - rows[column] for group, column in _GROUPS.items()})


def _each(figures: list[FindingFigure], digits: int) -> str:
    return "; ".join(f"{figure.name} {interval(figure, digits)}" for figure in figures)


def _told(name: str, loss: "dict[str, pd.Series[Any]]", more: FindingFigure, n: int) -> str:
    each = listed([f"the {group} {n} {interval(mean_interval('', values))}" for group, values in loss.items()])
    return f"{method(name)}, nats lost without {each}; the first minus random {interval(more)}."


def _sentence(verdict: Verdict, more: dict[str, FindingFigure], n: int) -> str:
    costs = listed([f"{decimal(figure.value, 1)} ({method(name)})" for name, figure in more.items() if figure.value])
    said = {
        "yes": "A word’s answer rests on the examples that are named first.",
        "partly": "Only in part does a word’s answer rest on the examples that are named first.",
        "no": "A word’s answer rests no more on the examples that are named first than on random ones.",
    }.get(verdict, "It is not clear that a word’s answer rests on the examples that are named first.")
    return f"{said} Nats that training without the first {n} costs beyond that without {n} random ones: {costs}."


def _evidence(rows: pd.DataFrame) -> list[str]:
    own = int(rows["n_own"].iloc[0])
    seeds = rows["seed"].nunique()
    return [
        f"Each word has {own} of the {int(rows['n_examples'].iloc[0])} examples, and as many are left out: this shows "
        "that a word's own sentences are found without the word being told, not which of them taught most.",
        "With fewer examples the others are drawn more often, so that leaving some out can also help an answer.",
        f"One prompt a word, {rows['constraint'].nunique()} words, {seeds} seeds; runs are shorter than the bundled "
        "ones. Intervals are over words, of which each is a mean over seeds.",
        "An untaught answer has a very low probability, and nats count how low: they say that it is lost, not how "
        "far the model's sentence would differ.",
    ]
