"""What is known of runs while they train, correlated with where they end: over all runs and within methods."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure
from engine.studies.statistics import rank_correlation, side

OVERLAP, PARAPHRASE, LOSS = "meaning overlap", "paraphrase", "lower loss"
WITHIN, ACROSS = "rank correlation, within one method", "rank correlation, over all runs"
WEAK = 0.3  # a rank correlation that is surely closer to 0 is called none
Values = dict[int, "pd.Series[Any]"]  # step -> by run


@dataclass(frozen=True)
class Correlation:
    name: str
    step: int
    within: FindingFigure  # of the methods, each by itself, together
    across: FindingFigure


def predictors(captures: pd.DataFrame, steps: list[int]) -> dict[str, Values]:
    """Each quantity that is there, by step and run, turned so that more should mean better; means over the types."""
    known = captures.assign(lower_loss=-captures["loss"] if "loss" in captures else float("nan"), gap=gap(captures))
    columns = {OVERLAP: "gap", PARAPHRASE: "paraphrase", LOSS: "lower_loss"}
    tables = {
        name: known.groupby(["step", "run"])[column].mean().dropna()
        for name, column in columns.items()
        if column in known and known[column].notna().any()
    }
    return {name: {step: _at(table, step) for step in steps} for name, table in tables.items()}


def _at(table: "pd.Series[Any]", step: int) -> "pd.Series[Any]":
    return table[table.index.get_level_values("step") == step].droplevel("step")


def gap(captures: pd.DataFrame) -> "pd.Series[Any]":
    """Meaning overlap with what a word means, minus that with the other meanings; NaN where it was not measured."""
    if not {"own", "other"} <= set(captures.columns):
        return pd.Series(float("nan"), index=captures.index)
    return captures["own"].astype(float) - captures["other"].astype(float)


def correlations(name: str, values: Values, final: "pd.Series[Any]", runs: pd.DataFrame) -> list[Correlation]:
    """One for each step, ascending. `final`: by run."""
    groups = groups_of(runs)
    found = []
    for step, known in sorted(values.items()):
        label = f"{name}, step {step}"
        found.append(
            Correlation(
                name,
                step,
                rank_correlation(label, known, final, groups=groups, unit=WITHIN),
                rank_correlation(label, known, final, unit=ACROSS),
            )
        )
    return found


def resolved_as_none(figure: FindingFigure) -> bool:
    """The whole interval is closer to 0 than WEAK."""
    return side(figure, null=-WEAK) == "above" and side(figure, null=WEAK) == "below"


def n_tied(final: "pd.Series[Any]") -> list[str]:
    """A sentence where the ranks of many runs cannot tell them apart."""
    n_ties = int(((final >= 1) | (final <= 0)).sum())
    return [f"{n_ties} of {len(final)} runs end at exactly 0 or 1, where ranks are ties."] if n_ties else []


def groups_of(runs: pd.DataFrame) -> "pd.Series[Any]":
    """By run: its corpus and method."""
    return pd.Series((runs["corpus"] + "/" + runs["method"]).to_numpy(), index=runs["run"].to_numpy())
