"""Does circuit-tuning forget less than LoRA?"""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import Answer, Missing, asks
from engine.studies.findings.compared import chance_note, gain_verdict, gains, grid_runs, means, of_method
from engine.studies.findings.words import changes


@asks("circuit_tuning_retained", "Does circuit-tuning keep more of what the model knew than LoRA?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy on what the base knew (retention), circuit-tuning minus LoRA, paired by task and seed.

    Yes: the interval over all tasks lies above 0, and that of no task below it; partly: one of them lies above 0; no:
    none does, and the one over all tasks ends below 0.0246; else it cannot be told.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_tuning"), of_method(runs, "lora")
    if not ours["retained"].notna().any():
        raise Missing("The study's corpora do not ask what is retained. Use corpora with retention probes.")
    figures = gains(ours, theirs, "retained", unit="difference")
    return Answer(
        gain_verdict(figures),
        f"Circuit-tuning {changes(figures[0], 'what is retained')} against LoRA: {means(ours, 'retained')} and "
        f"{means(theirs, 'retained')} of it are still answered, {means(ours, 'retained_base')} before training.",
        figures,
        reference=0.0,
        axis="retained by circuit-tuning minus retained by LoRA",
        evidence=[
            "What is retained depends on how much was learned: read it beside the accuracy on the task.",
            chance_note(ours),
        ],
    )
