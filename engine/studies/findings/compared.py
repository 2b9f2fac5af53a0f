"""Runs of a study that compares methods: which there are, and what one method does better than another."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from engine.domain.numbers import count, decimal, plural
from engine.domain.studies import FindingFigure, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Missing, Verdict
from engine.studies.findings.select import need
from engine.studies.findings.words import interval, method
from engine.studies.statistics import LEAST_N, paired_difference, side

PAIR = ["corpus", "seed"]  # what two runs share that differ in the method alone
ALL_TASKS = "all tasks"
PUBLISHED_GAIN = 0.0246  # accuracy of CircuitLoRA over LoRA (Wang et al. 2025, arXiv 2502.11812)


def grid_runs(tables: StudyTables) -> pd.DataFrame:
    """Without those that searched for a learning rate. Raises Missing."""
    runs = need(tables.runs, ["run", *PAIR, "method", "variant", "stage", "accuracy", "retained", "n_trainable"])
    found = runs[runs["stage"] == "grid"]
    if found.empty:
        raise Missing("No run of the study's grids has finished. Run the study again to go on.")
    return found


def of_method(runs: pd.DataFrame, name: str, variant: str = "") -> pd.DataFrame:
    """One run a corpus and seed. Raises Missing."""
    found = runs[(runs["method"] == name) & (runs["variant"] == variant)].drop_duplicates(PAIR)
    if found.empty:
        which = f" with “variant: {variant}”" if variant else ""
        raise Missing(f"The study has no run of {method(name)}{which}. Add a grid with it to the study file.")
    return found


def paired(runs: pd.DataFrame, column: str) -> "pd.Series[Any]":
    """A column by corpus and seed."""
    return pd.Series(runs[column].to_numpy(dtype=float), index=pd.MultiIndex.from_frame(runs[PAIR]))


def gains(
    left: pd.DataFrame, right: pd.DataFrame, column: str, *, unit: str, published: float | None = None
) -> list[FindingFigure]:
    """left - right, paired by corpus and seed: over all, then of each corpus. Raises Missing where nothing pairs."""
    a, b = paired(left, column), paired(right, column)
    both = a.index.intersection(b.index)
    if both.empty:
        raise Missing("No corpus and seed was trained both ways. Give both methods the same corpora and seeds.")
    every = paired_difference(ALL_TASKS, a, b, unit=unit).model_copy(update={"published": published})
    corpora = list(dict.fromkeys(both.get_level_values("corpus")))
    return [every] + [paired_difference(name, _of(a, name), _of(b, name), unit=unit) for name in corpora]


def gain_verdict(figures: Sequence[FindingFigure], *, least: float = PUBLISHED_GAIN) -> Verdict:
    """Of `gains`. Yes: the interval over all tasks lies above 0, that of no task below it; partly: one of them lies
    above 0; no: none does, and the one over all tasks ends below `least`; else it is inconclusive."""
    sides = [side(figure) for figure in figures]
    if sides[0] == "above" and "below" not in sides:
        return "yes"
    if "above" in sides:
        return "partly"
    high = figures[0].high
    return (
        "no" if sides[0] == "below" or (high is not None and high < least and figures[0].n >= LEAST_N) else INCONCLUSIVE
    )


def per_task(figures: Sequence[FindingFigure]) -> str:
    """A sentence with the interval of each task; figures of `gains`."""
    return f"By task: {'; '.join(f'{figure.name} {interval(figure)}' for figure in figures[1:])}."


def where_above(figures: Sequence[FindingFigure]) -> str:
    """The tasks on which the gain is resolved, such as “on 1 of 4 tasks (demo)”."""
    above = [figure.name for figure in figures[1:] if side(figure) == "above"]
    names = f" ({', '.join(above)})" if above else ""
    return f"on {len(above)} of {plural(len(figures) - 1, 'task')}{names}"


def budgets(*sides: pd.DataFrame) -> str:
    """A sentence on how much each side trained."""
    parts = [
        f"{method(str(runs['method'].iloc[0]))} {count(round(float(runs['n_trainable'].mean())))}" for runs in sides
    ]
    return f"Trainable parameters: {'; '.join(parts)}."


def seeds_note(runs: pd.DataFrame) -> str:
    """How many pairs rest on how few seeds and tasks."""
    return (
        f"There are {runs['seed'].nunique()} seeds of {runs['corpus'].nunique()} tasks. Each task has one set of "
        "problems, so intervals hold for these problems only. Learning rates were chosen on the same held-out "
        "problems, on other seeds, for every method alike."
    )


def same_layers(left: pd.DataFrame, right: pd.DataFrame) -> tuple[int, int]:
    """In how many pairs, and of how many, both gave more rank to the very same layers."""
    a, b = (runs.set_index(PAIR)["critical_layers"] for runs in (left, right))
    both = a.index.intersection(b.index)
    return int((a.loc[both] == b.loc[both]).sum()), len(both)


def means(runs: pd.DataFrame, column: str) -> str:
    value = runs[column].mean()
    return decimal(float(value)) if pd.notna(value) else "unknown"


def _of(series: "pd.Series[Any]", corpus: str) -> "pd.Series[Any]":
    return series[series.index.get_level_values("corpus") == corpus]
