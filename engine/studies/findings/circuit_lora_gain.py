"""Is CircuitLoRA better than LoRA?"""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import Answer, asks
from engine.studies.findings.compared import (
    PUBLISHED_GAIN,
    budgets,
    chance_note,
    gain_verdict,
    gains,
    grid_runs,
    means,
    of_method,
)
from engine.studies.findings.words import changes


@asks("circuit_lora", "Is CircuitLoRA better than LoRA at an equal number of parameters?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy of CircuitLoRA minus that of LoRA, paired by task and seed, each at the rate its search found.

    Yes: the interval over all tasks lies above 0, and that of no task below it; partly: one of them lies above 0; no:
    none does, and the one over all tasks ends below the published gain, which is so ruled out; else it cannot be told.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_lora"), of_method(runs, "lora")
    figures = gains(ours, theirs, "accuracy", unit="difference", published=PUBLISHED_GAIN)
    return Answer(
        gain_verdict(figures),
        f"More rank in the layers that the circuit changes {changes(figures[0], 'accuracy')}; published is a gain of "
        f"{PUBLISHED_GAIN:g}. The means are {means(ours, 'accuracy')} and {means(theirs, 'accuracy')}.",
        figures,
        reference=0.0,
        axis="accuracy of CircuitLoRA minus that of LoRA",
        evidence=[budgets(ours, theirs), chance_note(ours), "CircuitLoRA also trains a probe run to find its layers."],
    )
