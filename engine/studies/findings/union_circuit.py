"""Can the union of subtask circuits stand in for the circuit of the task that is composed of them?"""

from typing import Any

import pandas as pd

from engine.domain.components import CIRCUIT_SHARE
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.compared import gains, grid_runs, of_method, same_layers
from engine.studies.findings.equality import kept, surely_lost
from engine.studies.findings.select import EQUAL, need
from engine.studies.findings.words import changes, interval
from engine.studies.statistics import LEAST_N, mean_interval, paired_difference

# Of the union, by share of the edges (Wang et al. 2025, arXiv 2502.11812).
PUBLISHED = {0.01: 0.674, 0.02: 0.794, 0.03: 0.837, 0.04: 0.872, 0.05: 0.892, 0.1: 0.897}
_CLOSE = 0.1  # of faithfulness: a loss below it is called none


@asks("union", "Can the union of subtask circuits stand in for the circuit of the task composed of them?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Two uses. As a circuit: faithfulness of the union and of the directly found circuit of equal size, by share of
    the edges. As a prior: final accuracy of CircuitLoRA whose layers the union tells minus that of CircuitLoRA itself.

    The first holds where, at 5 % of the edges, the interval of the difference ends above -0.1, the second where it
    ends above -0.05; one surely fails where its interval lies below 0 and reaches beyond that. Yes: both hold; partly:
    one does; no: both surely fail; else it cannot be told.
    """
    runs = grid_runs(tables)
    rows = _rows(tables, runs)
    union, direct = (_curve(rows, name) for name in ("union", "direct"))
    at_5 = _difference(rows)
    accuracy, told = _as_prior(runs)
    nodes, edges = (_mean(rows, name, CIRCUIT_SHARE, "") for name in ("nodes", "edges"))
    faithful, own = (_mean(rows, name, CIRCUIT_SHARE, "") for name in ("union", "direct"))
    return Answer(
        _verdict(at_5, accuracy),
        f"With 5 % of the edges the union reaches a faithfulness of {interval(faithful)} (published 0.89), the direct "
        f"circuit {interval(own)}; the difference is {interval(at_5)}. They share {interval(nodes)} of their nodes and "
        f"{interval(edges)} of their edges (Jaccard). {told}",
        [*union, *direct, *_of_prior(accuracy)],
        axis="faithfulness",
        evidence=[
            "Faithfulness 1 is what the whole model does, 0 what it does on the corrupted prompt; one task, one model.",
            f"Equal means: a loss of {_CLOSE:g} faithfulness or {EQUAL:g} accuracy is ruled out.",
        ],
    )


def _rows(tables: StudyTables, runs: pd.DataFrame) -> pd.DataFrame:
    lacking = "No run of the study measured a union. Add “measure: [union]” to a grid with “settings: {prior: […]}”."
    if tables.circuits.empty:
        raise Missing(lacking)
    circuits = need(tables.circuits, ["run", "kind", "measure", "level", "value"])
    rows = circuits[(circuits["kind"] == "union") & circuits["run"].isin(runs["run"])]
    if rows.empty:
        raise Missing(lacking)
    return rows


def _curve(rows: pd.DataFrame, name: str) -> list[FindingFigure]:
    words = {"union": "faithfulness, union of the subtasks", "direct": "faithfulness, found directly"}
    figures = [_mean(rows, name, float(share), words[name]) for share in sorted(rows["level"].unique())]
    if name == "direct":
        return figures
    published = {_name(share): value for share, value in PUBLISHED.items()}
    return [figure.model_copy(update={"published": published.get(figure.name)}) for figure in figures]


def _mean(rows: pd.DataFrame, name: str, share: float, unit: str) -> FindingFigure:
    return mean_interval(_name(share), _at(rows, name, share), unit=unit)


def _difference(rows: pd.DataFrame) -> FindingFigure:
    return paired_difference(
        _name(CIRCUIT_SHARE), _at(rows, "union", CIRCUIT_SHARE), _at(rows, "direct", CIRCUIT_SHARE)
    )


def _at(rows: pd.DataFrame, name: str, share: float) -> "pd.Series[Any]":
    """By run."""
    found = rows[(rows["measure"] == name) & ((rows["level"] - share).abs() < 1e-9)]
    return found.set_index("run")["value"].astype(float)


def _name(share: float) -> str:
    return f"{100 * share:g} %"


def _as_prior(runs: pd.DataFrame) -> tuple[FindingFigure | None, str]:
    try:
        ours, theirs = of_method(runs, "circuit_lora", "union"), of_method(runs, "circuit_lora")
        figure = gains(ours, theirs, "accuracy", unit="accuracy")[0]
    except Missing as missing:
        return None, str(missing)
    n_same, n = same_layers(ours, theirs)
    return figure, (
        f"As CircuitLoRA's prior, in place of the direct circuit, it {changes(figure, 'accuracy')}; in {n_same} of {n} "
        "runs both name the same layers, which makes them the same run."
    )


def _of_prior(accuracy: FindingFigure | None) -> list[FindingFigure]:
    if accuracy is None:
        return []
    return [accuracy.model_copy(update={"name": "union minus direct", "unit": "accuracy, as CircuitLoRA's prior"})]


def _verdict(at_5: FindingFigure, accuracy: FindingFigure | None) -> Said:
    close = at_5.low is not None and at_5.n >= LEAST_N and at_5.low > -_CLOSE
    lost = at_5.high is not None and at_5.n >= LEAST_N and at_5.high < 0 and not close
    holds = [close, accuracy is not None and kept(accuracy)]
    fails = [lost, accuracy is not None and surely_lost(accuracy)]
    if all(holds):
        return "yes"
    if any(holds):
        return "partly"
    return "no" if all(fails) else UNTOLD
