"""Is CircuitLoRA better than LoRA?"""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Verdict, asks, with_null
from engine.studies.findings.compared import (
    PUBLISHED_GAIN,
    budgets,
    gain_verdict,
    gains,
    grid_runs,
    means,
    of_method,
    per_task,
    seeds_note,
    where_above,
)
from engine.studies.findings.words import interval


@asks("circuit_lora", "Is CircuitLoRA better than LoRA at an equal number of parameters?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy of CircuitLoRA minus that of LoRA, paired by task and seed, each at the rate its search found.

    Yes: the interval over all tasks lies above 0, and that of no task below it; partly: one of them lies above 0; no:
    none does, and the one over all tasks ends below the published gain, which is so ruled out; else it is inconclusive.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_lora"), of_method(runs, "lora")
    figures = gains(ours, theirs, "accuracy", unit="difference", published=PUBLISHED_GAIN)
    verdict = gain_verdict(figures)
    sentences: dict[Verdict, str] = {
        "yes": "At equal size CircuitLoRA answers more problems right than LoRA.",
        "partly": f"CircuitLoRA is clearly better than LoRA {where_above(figures)} only.",
        "no": "CircuitLoRA is no better than LoRA here; a gain of the published size is ruled out.",
        INCONCLUSIVE: "The runs differ too much to say whether CircuitLoRA is better than LoRA.",
    }
    return Answer(
        verdict,
        sentences[verdict],
        with_null(0.0, figures),
        axis="accuracy of CircuitLoRA minus that of LoRA",
        line="no difference",
        details=[
            f"CircuitLoRA minus LoRA, all tasks: {interval(figures[0])}; the published gain is {PUBLISHED_GAIN:g}.",
            f"Mean accuracy: {means(ours, 'accuracy')} and {means(theirs, 'accuracy')}.",
            per_task(figures),
        ],
        evidence=[budgets(ours, theirs), seeds_note(ours), "CircuitLoRA also trains a probe run to find its layers."],
    )
