"""Is it the circuit that tells the right layers? CircuitLoRA against layers drawn at random."""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import Answer, asks
from engine.studies.findings.compared import (
    budgets,
    chance_note,
    gain_verdict,
    gains,
    grid_runs,
    of_method,
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
        evidence=[budgets(ours, theirs), chance_note(ours), _same_layers(tables, spec)],
    )


def _same_layers(tables: StudyTables, spec: StudySpec) -> str:
    """How often chance drew the circuit's own layers: such a pair says nothing."""
    runs = grid_runs(tables)
    drawn = of_method(runs, "random_lora").set_index(["corpus", "seed"])["critical_layers"]
    found = of_method(runs, "circuit_lora").set_index(["corpus", "seed"])["critical_layers"]
    both = drawn.index.intersection(found.index)
    n_same = int((drawn.loc[both] == found.loc[both]).sum())
    return f"In {n_same} of {len(both)} pairs chance drew the very layers of the circuit."
