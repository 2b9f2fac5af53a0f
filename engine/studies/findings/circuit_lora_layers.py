"""Is it the circuit that tells the right layers? CircuitLoRA against layers drawn at random."""

import pandas as pd

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import Answer, asks
from engine.studies.findings.compared import (
    budgets,
    chance_note,
    gain_verdict,
    gains,
    grid_runs,
    of_method,
    same_layers,
)
from engine.studies.findings.words import changes


@asks("circuit_layers", "Are the layers that the circuit names better than layers drawn at random?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy of CircuitLoRA minus that of the same ranks in random layers, paired by task and seed.

    Yes: the interval over all tasks lies above 0, and that of no task below it; partly: one of them lies above 0; no:
    none does, and the one over all tasks ends below the gain that is published over LoRA; else it cannot be told.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_lora"), of_method(runs, "random_lora")
    figures = gains(ours, theirs, "accuracy", unit="difference")
    return Answer(
        gain_verdict(figures),
        f"Giving the rank to the circuit's layers, and not to as many drawn at random, "
        f"{changes(figures[0], 'accuracy')}.",
        figures,
        reference=0.0,
        axis="accuracy of CircuitLoRA minus that of random layers",
        evidence=[budgets(ours, theirs), chance_note(ours), _by_chance(ours, theirs)],
    )


def _by_chance(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """Such a pair says nothing."""
    n_same, n = same_layers(ours, theirs)
    return f"In {n_same} of {n} pairs chance drew the very layers of the circuit."
