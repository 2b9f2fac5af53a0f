"""Are the circuits of a tuned model robust: on other data, and on perturbed inputs?"""

from typing import Any, Final

import pandas as pd

from engine.domain.numbers import percent
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only
from engine.studies.findings.compared import grid_runs
from engine.studies.findings.select import need
from engine.studies.findings.words import interval
from engine.studies.measured import ROBUST_SHARE
from engine.studies.statistics import mean_interval, paired_difference, side

_SUBJECTS: Final = {"tuned": "tuned", "base": "before training", "random": "random weights"}
_FIFTHS = 0.0  # the level of circuits on disjoint fifths of the data


@asks("edge_robustness", "Are the circuits of a tuned model more robust than those of an untrained one?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Edge Jaccard of circuits found on disjoint fifths of the pairs (other data), and of those on perturbed pairs with
    the one on the pairs as they are (mean over the levels); in the tuned model, in the base and in one of random
    weights, means over runs.

    The tuned model is more robust where it surely exceeds both others, paired by run. Yes: on other data and on
    perturbed inputs; partly: on one of them; no: on none, and each comparison with the base is resolved; else it cannot
    be told.
    """
    edges = _rows(tables)
    levels = sorted(float(level) for level in edges["level"].unique() if level > 0)
    values = {
        "other data": {subject: _at(edges, subject, [_FIFTHS]) for subject in _SUBJECTS},
        "perturbed inputs": {subject: _at(edges, subject, levels) for subject in _SUBJECTS},
    }
    over = {
        what: [paired_difference(subject, of["tuned"], of[subject]) for subject in ("base", "random")]
        for what, of in values.items()
    }
    single = [
        _mean(f"{_SUBJECTS[subject]}, {percent(level)} of the tokens replaced", _at(edges, subject, [level]),
              "Jaccard of edges, by level")
        for subject in _SUBJECTS for level in levels
    ]  # fmt: skip
    verdict = _verdict(over)
    return Answer(
        verdict,
        _sentence(verdict, over),
        [*(figure for what, of in values.items() for figure in _panel(what, of)), *table_only(single)],
        axis="edges that two circuits share (Jaccard)",
        line="the higher of untrained and random weights",
        details=[
            f"On {what}: {', '.join(f'{name} {interval(_mean(name, of[s], what))}' for s, name in _SUBJECTS.items())}. "
            f"Tuned minus untrained: {interval(over[what][0])}; tuned minus random weights: {interval(over[what][1])}."
            for what, of in values.items()
        ],
        evidence=[
            f"Circuits of {percent(ROBUST_SHARE)} of the edges: with 5% some circuits of so small a model are empty.",
            "A fifth holds few pairs, so circuits differ by chance as well.",
            "A perturbed prompt has some of its tokens replaced and may make no sense. Where even random weights score "
            "as high, a high value says nothing about training.",
        ],
    )


def _rows(tables: StudyTables) -> pd.DataFrame:
    """Of edges. Raises Missing."""
    lacking = "No run of the study measured how robust its circuit is. Add “measure: [robustness]” to a grid."
    runs = grid_runs(tables)
    if tables.circuits.empty:
        raise Missing(lacking)
    circuits = need(tables.circuits, ["run", "kind", "subject", "measure", "level", "value"])
    rows = circuits[(circuits["kind"] == "robustness") & circuits["run"].isin(runs["run"])]
    if rows.empty:
        raise Missing(lacking)
    return rows[rows["measure"] == "edges"]


def _at(rows: pd.DataFrame, subject: str, levels: list[float]) -> "pd.Series[Any]":
    """By run, the mean over these levels."""
    found = rows[(rows["subject"] == subject) & rows["level"].isin(levels)]
    return found.groupby("run")["value"].mean().astype(float)


def _mean(name: str, values: "pd.Series[Any]", unit: str) -> FindingFigure:
    return mean_interval(name, values, unit=unit, bounds=(0.0, 1.0))


def _panel(what: str, values: dict[str, "pd.Series[Any]"]) -> list[FindingFigure]:
    """The tuned model's figure is judged against the higher of the two others."""
    figures = [_mean(name, values[subject], f"Jaccard of edges, {what}") for subject, name in _SUBJECTS.items()]
    others = [figure.value for figure in figures[1:] if figure.value is not None]
    return [figures[0].model_copy(update={"null": max(others, default=None)}), *figures[1:]]


def _verdict(over: dict[str, list[FindingFigure]]) -> Verdict:
    more = _more(over)
    if all(more.values()):
        return "yes"
    if any(more.values()):
        return "partly"
    return INCONCLUSIVE if any(side(figures[0], margin=0.05) == "open" for figures in over.values()) else "no"


def _more(over: dict[str, list[FindingFigure]]) -> dict[str, bool]:
    return {what: all(side(figure) == "above" for figure in figures) for what, figures in over.items()}


def _sentence(verdict: Verdict, over: dict[str, list[FindingFigure]]) -> str:
    if verdict == "yes":
        return "The tuned model's circuits agree more than those of the untrained model and of random weights, on both."
    if verdict == "partly":
        (what,) = (what for what, more in _more(over).items() if more)
        (other,) = (what for what, more in _more(over).items() if not more)
        return (
            f"On {what} the tuned model's circuits agree more than those of the untrained model and of random weights; "
            f"on {other} they do not."
        )
    if verdict == "no":
        return "The tuned model's circuits agree no more than those of the untrained model or of random weights."
    return "The runs differ too much to say whether training made circuits more robust."
