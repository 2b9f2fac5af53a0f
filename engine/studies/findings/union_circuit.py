"""Can the union of subtask circuits stand in for the circuit of the task that is composed of them?"""

from typing import Any

import pandas as pd

from engine.domain.components import CIRCUIT_SHARE
from engine.domain.numbers import percent
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
from engine.studies.findings.compared import PAIR, gains, grid_runs, of_method
from engine.studies.findings.equality import kept
from engine.studies.findings.select import EQUAL, need
from engine.studies.findings.words import interval
from engine.studies.statistics import LEAST_N, mean_interval, paired_difference, side

# Of the union, by share of the edges (Wang et al. 2025, arXiv 2502.11812).
PUBLISHED = {0.01: 0.674, 0.02: 0.794, 0.03: 0.837, 0.04: 0.872, 0.05: 0.892, 0.1: 0.897}
_CLOSE = 0.1  # of faithfulness: a loss below it is called none


@asks("union", "Can the union of subtask circuits stand in for the circuit of the task composed of them?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Two uses. As a circuit: faithfulness of the union and of the directly found circuit of equal size, at the
    smallest share from 5% of the edges on at which the direct circuit's interval lies above 0 (before, there is nothing
    to stand in for). As a prior: final accuracy of CircuitLoRA with the union's layers minus that of CircuitLoRA
    itself; pairs in which both name the same layers are the same run and do not count.

    The first holds where the interval of the difference ends above -0.1, the second where it ends above -0.05; one
    surely fails where its interval lies below 0 and reaches beyond that. Yes: both hold; partly: one does; no: the
    first surely fails, and the second does not hold; else it is inconclusive.
    """
    runs = grid_runs(tables)
    rows = _rows(tables, runs)
    share = _share(rows)
    at_share = None if share is None else _difference(rows, share)
    accuracy, prior = _as_prior(runs)
    verdict = _verdict(at_share, accuracy)
    return Answer(
        verdict,
        _sentence(verdict, at_share, share),
        [
            *with_null(0.0, [figure for name in ("union", "direct") for figure in _curve(rows, name)]),
            *table_only(_of_prior(accuracy)),
        ],
        axis="faithfulness",
        line="no better than the corrupted prompt",
        details=[*_details(rows, sorted({CIRCUIT_SHARE, *([] if share is None else [share])})), prior],
        evidence=[
            "Faithfulness 1 is what the whole model does, 0 what it does on the corrupted prompt; one task, one model.",
            f"A loss of {_CLOSE:g} in faithfulness or {EQUAL:g} in accuracy must be ruled out.",
        ],
    )


def _share(rows: pd.DataFrame) -> float | None:
    """The size at which the two are compared."""
    shares = [share for share in sorted(rows["level"].unique()) if share > CIRCUIT_SHARE - 1e-9]
    return next((float(share) for share in shares if side(_mean(rows, "direct", share, "")) == "above"), None)


def _details(rows: pd.DataFrame, shares: list[float]) -> list[str]:
    return [
        f"With {percent(share)} of the edges the union has a faithfulness of "
        f"{interval(_mean(rows, 'union', share, ''))}, the direct circuit "
        f"{interval(_mean(rows, 'direct', share, ''))}, a difference of {interval(_difference(rows, share))}"
        + (f"; published for the union is {PUBLISHED[share]:g}" if share in PUBLISHED else "")
        + f". They share {interval(_mean(rows, 'nodes', share, ''))} of their nodes and "
        f"{interval(_mean(rows, 'edges', share, ''))} of their edges (Jaccard)."
        for share in shares
    ]


def _sentence(verdict: Verdict, at_share: FindingFigure | None, share: float | None) -> str:
    if at_share is None or share is None:
        return "Even the circuit found directly recovers nothing clearly, so there is nothing to stand in for."
    size = f"With {percent(share)} of the edges"
    return {
        "close": f"{size} the union recovers about as much of the model's behavior as the circuit found directly.",
        "lost": f"{size} the union recovers less of the model's behavior than the circuit found directly.",
        "open": f"{size} the difference between the union and the circuit found directly is not resolved.",
    }[_as_circuit(at_share)]


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
    units = {"union": "faithfulness, union of the subtasks", "direct": "faithfulness, found directly"}
    figures = [_mean(rows, name, float(share), units[name]) for share in sorted(rows["level"].unique())]
    if name == "direct":
        return figures
    published = {_name(share): value for share, value in PUBLISHED.items()}
    return [figure.model_copy(update={"published": published.get(figure.name)}) for figure in figures]


def _mean(rows: pd.DataFrame, name: str, share: float, unit: str) -> FindingFigure:
    return mean_interval(_name(share), _at(rows, name, share), unit=unit)


def _difference(rows: pd.DataFrame, share: float) -> FindingFigure:
    return paired_difference(_name(share), _at(rows, "union", share), _at(rows, "direct", share))


def _at(rows: pd.DataFrame, name: str, share: float) -> "pd.Series[Any]":
    """By run."""
    found = rows[(rows["measure"] == name) & ((rows["level"] - share).abs() < 1e-9)]
    return found.set_index("run")["value"].astype(float)


def _name(share: float) -> str:
    return percent(share)


def _as_prior(runs: pd.DataFrame) -> tuple[FindingFigure | None, str]:
    """None where no pair differs in its layers."""
    try:
        ours, theirs = of_method(runs, "circuit_lora", "union"), of_method(runs, "circuit_lora")
        n = gains(ours, theirs, "accuracy", unit="accuracy")[0].n
    except Missing as missing:
        return None, str(missing)
    other = theirs.set_index(PAIR)["critical_layers"].reindex(pd.MultiIndex.from_frame(ours[PAIR]))
    differ = ours[(ours["critical_layers"].to_numpy() != other.to_numpy()) & other.notna().to_numpy()]
    if differ.empty:
        return None, f"As CircuitLoRA's prior it named the same layers in all {n} runs, so this use was not tested."
    figure = gains(differ, theirs, "accuracy", unit="accuracy")[0]
    return figure, (
        f"As CircuitLoRA's prior, in place of the direct circuit, it changes accuracy by {interval(figure)}, over the "
        f"{figure.n} of {n} runs in which the two name different layers."
    )


def _of_prior(accuracy: FindingFigure | None) -> list[FindingFigure]:
    if accuracy is None:
        return []
    return [accuracy.model_copy(update={"name": "union minus direct", "unit": "accuracy, as CircuitLoRA's prior"})]


def _as_circuit(difference: FindingFigure) -> str:
    """close, lost or open."""
    if difference.low is None or difference.high is None or difference.n < LEAST_N:
        return "open"
    if difference.low > -_CLOSE:
        return "close"
    return "lost" if difference.high < 0 else "open"


def _verdict(at_share: FindingFigure | None, accuracy: FindingFigure | None) -> Verdict:
    as_circuit = "open" if at_share is None else _as_circuit(at_share)
    as_prior = accuracy is not None and kept(accuracy)
    if as_circuit == "close" and as_prior:
        return "yes"
    if as_circuit == "close" or as_prior:
        return "partly"
    return "no" if as_circuit == "lost" else INCONCLUSIVE
