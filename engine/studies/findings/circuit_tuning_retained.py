"""Does circuit-tuning forget less than LoRA?"""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, with_null
from engine.studies.findings.compared import gain_verdict, gains, grid_runs, means, of_method, per_task, seeds_note
from engine.studies.findings.words import interval
from engine.studies.statistics import side


@asks("circuit_tuning_retained", "Does circuit-tuning keep more of what the model knew than LoRA?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy on what the base knew (retention), circuit-tuning minus LoRA, paired by task and seed.

    Yes: the interval over all tasks lies above 0, and that of no task below it; partly: one of them lies above 0; no:
    none does, and the one over all tasks ends below 0.0246; else it is inconclusive.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_tuning"), of_method(runs, "lora")
    if not ours["retained"].notna().any():
        raise Missing("The study's corpora do not ask what is retained. Add a grid with corpora that have such probes.")
    figures = gains(ours, theirs, "retained", unit="difference")
    verdict = gain_verdict(figures)
    less = "Circuit-tuning keeps less" if side(figures[0]) == "below" else "Circuit-tuning keeps no more"
    sentences: dict[Verdict, str] = {
        "yes": "Circuit-tuning keeps more of what the model knew than LoRA does.",
        "partly": "Circuit-tuning keeps more of what the model knew than LoRA on some tasks only.",
        "no": f"{less} of what the model knew than LoRA does.",
        INCONCLUSIVE: "The runs differ too much to say which of the two keeps more.",
    }
    return Answer(
        verdict,
        sentences[verdict],
        with_null(0.0, figures),
        axis="retained by circuit-tuning minus retained by LoRA",
        line="no difference",
        details=[
            f"Over all tasks the difference is {interval(figures[0])}: {means(ours, 'retained')} and "
            f"{means(theirs, 'retained')} of what the model knew is still answered right, "
            f"{means(ours, 'retained_base')} before training.",
            per_task(figures),
        ],
        evidence=[
            "What is forgotten depends on how much was learned and how many parameters moved: read it together with "
            "the accuracy on the task.",
            seeds_note(ours),
        ],
    )
