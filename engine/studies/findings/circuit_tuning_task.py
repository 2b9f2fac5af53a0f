"""Does circuit-tuning learn the task better than LoRA?"""

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import Answer, asks
from engine.studies.findings.compared import chance_note, gain_verdict, gains, grid_runs, means, of_method
from engine.studies.findings.select import need
from engine.studies.findings.words import changes
from engine.studies.statistics import mean_interval


@asks("circuit_tuning_task", "Does circuit-tuning learn the task better than LoRA?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy of circuit-tuning minus that of LoRA, paired by task and seed, each at the rate its search found.

    Yes: the interval over all tasks lies above 0, and that of no task below it; partly: one of them lies above 0; no:
    none does, and the one over all tasks ends below 0.0246; else it cannot be told.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_tuning"), of_method(runs, "lora")
    figures = gains(ours, theirs, "accuracy", unit="difference")
    moved = [_moved("circuit-tuning", ours), _moved("LoRA", theirs)]
    return Answer(
        gain_verdict(figures),
        f"Training only what the circuit uses {changes(figures[0], 'accuracy')} against LoRA. The means are "
        f"{means(ours, 'accuracy')} and {means(theirs, 'accuracy')}.",
        [*figures, *moved],
        reference=0.0,
        axis="accuracy of circuit-tuning minus that of LoRA",
        evidence=[
            "The two do not move equally many parameters: circuit-tuning moves the weights of whole heads and MLPs.",
            chance_note(ours),
        ],
    )


def _moved(name: str, runs: "object") -> FindingFigure:
    table = need(runs, ["n_moved"])  # type: ignore[arg-type]
    return mean_interval(name, table["n_moved"], unit="parameters, moved", bounds=(0.0, float("inf")))
