"""What the questions about where and when share: a study's words with their runs, one figure a word over all seeds."""

import pandas as pd

from engine.domain.studies import ACTED_COLUMNS, ACTED_ROLES, StudyTables
from engine.studies.findings.answer import Missing
from engine.studies.findings.select import need

WORD = ["method", "constraint_type", "constraint"]


def followed(tables: StudyTables) -> pd.DataFrame:
    """`StudyTables.acted` with each run's method, seed and n_steps. Raises Missing."""
    if tables.acted.empty:
        raise Missing("No answer of the study was followed over its run. Add “measure: [acted]” to a grid.")
    return need(tables.acted, list(ACTED_COLUMNS)).merge(
        need(tables.runs, ["run", "method", "seed", "n_steps"]), on="run"
    )


def by_word(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a method, constraint type and word: what its answers gained, and what of it at tokens of each role; means
    over seeds of what all stretches add up to."""
    of_run = rows.groupby(["run", *WORD], sort=False)[["change", *ACTED_ROLES]].sum()
    return of_run.groupby(WORD, sort=False).mean().reset_index()


def gained(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a method, constraint type and word, a column a step, the base's first: how far the logit had moved by then,
    the mean over seeds."""
    changes = rows.groupby([*WORD, "step"], sort=False)["change"].mean().unstack("step")
    moved = changes.sort_index(axis=1).cumsum(axis=1)
    moved.insert(0, 0, 0.0)
    return moved


def weak_spots(rows: pd.DataFrame) -> list[str]:
    """For the evidence of both questions."""
    n_words, n_seeds = rows["constraint"].nunique(), rows["seed"].nunique()
    return [
        f"{n_words} words, {n_seeds} seeds, {_probes(rows)} paraphrases of each; intervals are over words, of which "
        "each is a mean over seeds.",
        "A logit is told against the mean of all tokens, so it also rises where a phrasing alone was learned.",
    ]


def _probes(rows: pd.DataFrame) -> str:
    low, high = int(rows["n_probes"].min()), int(rows["n_probes"].max())
    return str(low) if low == high else f"{low} to {high}"
