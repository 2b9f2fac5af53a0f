"""Which rows of a study's tables a question rests on. What is not there is told by `Missing`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.domain.corpus import CorpusSpec
from engine.domain.methods import METHOD_INFOS
from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import Missing

PAIR = ["corpus", "method", "seed"]  # what two runs share that differ in a policy alone
LEARNED = 0.9  # accuracy that counts as learned
EQUAL = 0.05  # of accuracy: a difference within it is called none


def shuffled_corpora(spec: StudySpec) -> list[str]:
    """Names of the controls in which words and meanings go together by chance."""
    return [corpus.name for corpus in spec.make if isinstance(corpus, CorpusSpec) and corpus.shuffled_meanings]


def chosen(
    tables: StudyTables, spec: StudySpec, *, stopping: str = "none", curriculum: str = "uniform"
) -> pd.DataFrame:
    """Runs of these policies at each method's own learning rate, controls left out. Raises Missing."""
    runs = need(tables.runs, [*PAIR, "run", "stopping", "curriculum", "learning_rate"])
    wanted = (runs["stopping"] == stopping) & (runs["curriculum"] == curriculum)
    found = runs[wanted & ~runs["corpus"].isin(shuffled_corpora(spec)) & _own_rate(runs)].drop_duplicates(PAIR)
    if found.empty:
        grid = f"“stopping: [{stopping}]” and “curricula: [{curriculum}]”"
        raise Missing(f"The study has no run with {grid}. Add a grid with them to the study file, with five seeds.")
    return found


def full_runs(tables: StudyTables, spec: StudySpec) -> pd.DataFrame:
    """Runs that trained all their steps on examples drawn alike. Raises Missing."""
    return chosen(tables, spec)


def _own_rate(runs: pd.DataFrame) -> "pd.Series[bool]":
    own = runs["method"].map({name: info.default_learning_rate for name, info in METHOD_INFOS.items()})
    rate = runs["learning_rate"].astype(float)
    return rate.isna() | (rate == own)


def need(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table itself. Raises Missing where it lacks one of the columns."""
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        raise Missing(
            f"The study's tables have no column “{lacking[0]}”: they were made by another version. Run the study again."
        )
    return table


def captures_of(tables: StudyTables, runs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The captures of these runs. Raises Missing where a column is not there or has no number in any of them."""
    captures = need(tables.captures, ["run", "step", "constraint_type", *columns])
    found = captures[captures["run"].isin(runs["run"])]
    for column in columns:
        if not found[column].notna().any():
            raise Missing(_nothing_in(column))
    return found


def _nothing_in(column: str) -> str:
    if column in ("fit", "change", "low", "high", "edge", "said", "own", "other"):
        return (
            f"No run of the study looked at its circuits (there is no “{column}”). Add “watch: true” to the grid that "
            "trains all the steps."
        )
    return f"The study's runs have no “{column}”: their corpus has no probes of this kind. Use one that has them."


def at_end(captures: pd.DataFrame, column: str) -> "pd.Series[Any]":
    """By run: the mean over constraint types at its last capture."""
    last = captures.groupby("run")["step"].transform("max")
    return captures[captures["step"] == last].groupby("run")[column].mean()


def at_steps(captures: pd.DataFrame, column: str, steps: "pd.Series[Any]") -> "pd.Series[Any]":
    """By run: the mean over constraint types at the last capture that is not after the run's own entry of `steps`."""
    limit = captures["run"].map(steps)
    until = captures[captures["step"] <= limit]
    return at_end(until, column) if len(until) else pd.Series(dtype=float)


def by_pair(runs: pd.DataFrame, by_run: "pd.Series[Any]") -> "pd.Series[Any]":
    """What is known by run, indexed by corpus, method and seed; runs without an entry are left out."""
    index = pd.MultiIndex.from_frame(runs[PAIR])
    return pd.Series(by_run.reindex(runs["run"]).to_numpy(), index=index).dropna()


def first_steps(captures: pd.DataFrame, column: str = "paraphrase", level: float = LEARNED) -> pd.DataFrame:
    """A row a run, a column a constraint type: the first captured step at which `column` is at least `level`.

    NaN: it never is.
    """
    reached = captures["step"].where(captures[column] >= level)
    steps = captures.assign(reached=reached).groupby(["run", "constraint_type"])["reached"].min()
    return steps.unstack("constraint_type")


def past_end(captures: pd.DataFrame, spec: StudySpec) -> "pd.Series[Any]":
    """By run: one capture past its end, the least that a step can be that was never reached."""
    return captures.groupby("run")["step"].max() + spec.capture_every


def of_method(series: "pd.Series[Any]", method: str) -> "pd.Series[Any]":
    """The entries of one method of a series by pair."""
    return series[series.index.get_level_values("method") == method]


def methods_in(runs: pd.DataFrame) -> list[str]:
    """In the order of the forms, then unknown ones by name."""
    there = set(runs["method"])
    return [name for name in METHOD_INFOS if name in there] + sorted(there - set(METHOD_INFOS))


def steps_in(captures: pd.DataFrame) -> list[int]:
    """Captured steps after the base, ascending."""
    return [int(step) for step in np.unique(captures["step"]) if step > 0]


def nearest(steps: Sequence[int], to: float) -> int:
    """Of these steps the one nearest to `to`; of two as near, the earlier."""
    return min(steps, key=lambda step: (abs(step - to), step))
