"""Are the circuits of a tuned model robust: on other data, and on perturbed inputs?"""

from typing import Any, Final

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.compared import grid_runs
from engine.studies.findings.select import need
from engine.studies.findings.words import interval, percent
from engine.studies.measured import ROBUST_SHARE
from engine.studies.statistics import mean_interval, paired_difference, side

_SUBJECTS: Final = {"tuned": "tuned", "base": "before training", "random": "random weights"}
_HALF = 0.5
_FIFTHS = 0.0


@asks("edge_robustness", "Are the circuits of a tuned model robust against other data and perturbed inputs?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Edge Jaccard of circuits found on disjoint fifths of the pairs, and of those on perturbed pairs with the one on
    the pairs as they are; in the tuned model, in the base and in one of random weights, means over runs.

    Of the fifths: yes: the tuned model's interval lies above 0.5, and it surely exceeds both others (paired by run);
    partly: it lies above 0.5, or surely exceeds one of them; no: it lies below 0.5 and surely exceeds neither; else it
    cannot be told.
    """
    rows = _rows(tables)
    edges, nodes = (rows[rows["measure"] == measure] for measure in ("edges", "nodes"))
    fifths = {subject: _mean(edges, subject, _FIFTHS, "fifths of the data") for subject in _SUBJECTS}
    over = [
        paired_difference(subject, _at(edges, "tuned", _FIFTHS), _at(edges, subject, _FIFTHS))
        for subject in ("base", "random")
    ]
    levels = sorted(float(level) for level in edges["level"].unique() if level > 0)
    figures = [
        figure
        for subject in _SUBJECTS
        for figure in (
            fifths[subject],
            _mean(nodes, subject, _FIFTHS, "fifths of the data, nodes"),
            *(_mean(edges, subject, level, f"{percent(level)} of the tokens replaced") for level in levels),
        )
    ]
    return Answer(
        _verdict(fifths["tuned"], over),
        f"Circuits of disjoint fifths of the data share {interval(fifths['tuned'])} of their edges in the tuned model, "
        f"{interval(fifths['base'])} before training and {interval(fifths['random'])} with random weights (Jaccard).",
        figures,
        reference=_HALF,
        axis="Jaccard (line: half is shared)",
        evidence=[
            f"Circuits of {percent(ROBUST_SHARE)} of the edges: with 5 %, some of so small a model are empty.",
            "A fifth holds few pairs, so that circuits differ by chance as well: the random model tells by how much.",
            "A perturbed prompt has some of its tokens replaced, and may ask nothing sensible.",
        ],
    )


def _rows(tables: StudyTables) -> pd.DataFrame:
    lacking = "No run of the study measured how robust its circuit is. Add “measure: [robustness]” to a grid."
    runs = grid_runs(tables)
    if tables.circuits.empty:
        raise Missing(lacking)
    circuits = need(tables.circuits, ["run", "kind", "subject", "measure", "level", "value"])
    rows = circuits[(circuits["kind"] == "robustness") & circuits["run"].isin(runs["run"])]
    if rows.empty:
        raise Missing(lacking)
    return rows


def _at(rows: pd.DataFrame, subject: str, level: float) -> "pd.Series[Any]":
    """By run."""
    return rows[(rows["subject"] == subject) & (rows["level"] == level)].set_index("run")["value"].astype(float)


def _mean(rows: pd.DataFrame, subject: str, level: float, name: str) -> FindingFigure:
    return mean_interval(name, _at(rows, subject, level), unit=f"Jaccard, {_SUBJECTS[subject]}", bounds=(0.0, 1.0))


def _verdict(tuned: FindingFigure, over: list[FindingFigure]) -> Said:
    where = side(tuned, null=_HALF)
    exceeds = [side(figure) == "above" for figure in over]
    if where == "above" and all(exceeds):
        return "yes"
    if where == "above" or any(exceeds):
        return "partly"
    return "no" if where == "below" and "open" not in [side(figure) for figure in over] else UNTOLD
