"""Does circuit-tuning learn the task better than LoRA?"""

import pandas as pd

from engine.domain.numbers import decimal
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
from engine.studies.findings.compared import gain_verdict, gains, grid_runs, means, of_method, per_task, seeds_note
from engine.studies.findings.select import need
from engine.studies.findings.words import interval
from engine.studies.statistics import mean_interval

_EQUAL_SIZE = 1.05  # of parameters: a factor within which two are called equal


@asks("circuit_tuning_task", "Does circuit-tuning learn the task better than LoRA?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy of circuit-tuning minus that of LoRA, paired by task and seed, each at the rate its search found;
    and minus that of all weights, where the study has it.

    Yes: the interval over all tasks lies above 0, that of no task below it, and circuit-tuning moves no more
    parameters; partly: it moves more, or only some interval lies above 0; no: none does, and the one over all tasks
    ends below 0.0246; else it is inconclusive.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_tuning"), of_method(runs, "lora")
    figures = gains(ours, theirs, "accuracy", unit="difference, minus LoRA")
    moved = [_moved("circuit-tuning", ours), _moved("LoRA", theirs)]
    factor = (moved[0].value or 0.0) / (moved[1].value or float("nan"))
    verdict = gain_verdict(figures)
    if verdict == "yes" and factor > _EQUAL_SIZE:
        verdict = "partly"
    over_full = _over_all_weights(runs, ours)
    return Answer(
        verdict,
        _sentence(verdict, figures, factor),
        [*with_null(0.0, [*figures, *over_full]), *table_only(moved)],
        axis="difference in accuracy",
        line="no difference",
        details=[
            f"Circuit-tuning minus LoRA, all tasks: {interval(figures[0])}.",
            f"Mean accuracy: {means(ours, 'accuracy')} and {means(theirs, 'accuracy')}.",
            per_task(figures),
            *(f"Circuit-tuning minus all weights, all tasks: {interval(figure)}." for figure in over_full[:1]),
        ],
        evidence=[
            f"Circuit-tuning moves the weights of whole heads and MLPs, {decimal(factor, 1)} times as many parameters "
            "as LoRA: part of a difference may come from that.",
            seeds_note(ours),
        ],
    )


def _sentence(verdict: Verdict, figures: list[FindingFigure], factor: float) -> str:
    if verdict == "partly" and gain_verdict(figures) == "yes":
        return (
            f"Circuit-tuning answers more problems right than LoRA, but it moves {decimal(factor, 1)} times as many "
            "parameters."
        )
    sentences: dict[Verdict, str] = {
        "yes": "Circuit-tuning answers more problems right than LoRA, without moving more parameters.",
        "partly": "Circuit-tuning answers more problems right than LoRA on some tasks only.",
        "no": "Circuit-tuning does not answer more problems right than LoRA.",
        INCONCLUSIVE: "The runs differ too much to say whether circuit-tuning learns the task better than LoRA.",
    }
    return sentences[verdict]


def _over_all_weights(runs: pd.DataFrame, ours: pd.DataFrame) -> list[FindingFigure]:
    try:
        return gains(ours, of_method(runs, "full"), "accuracy", unit="difference, minus all weights")
    except Missing:
        return []


def _moved(name: str, runs: pd.DataFrame) -> FindingFigure:
    table = need(runs, ["n_moved"])
    return mean_interval(name, table["n_moved"], unit="parameters, moved", bounds=(0.0, float("inf")))
