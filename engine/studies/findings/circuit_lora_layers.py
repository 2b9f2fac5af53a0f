"""Is it the circuit that tells the right layers? CircuitLoRA against layers drawn at random."""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
from engine.studies.findings.compared import (
    PAIR,
    budgets,
    gain_verdict,
    gains,
    grid_runs,
    of_method,
    paired,
    seeds_note,
)
from engine.studies.findings.select import need
from engine.studies.findings.words import interval
from engine.studies.statistics import LEAST_N, mean_interval

_EVERY = "all draws"


@asks("circuit_layers", "Are the layers that the circuit names better than layers drawn at random?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Final accuracy of CircuitLoRA minus that of the same ranks in random layers, paired by task and seed.

    A seed draws its layers once for all tasks, and two seeds may draw the same. So the interval is over the different
    draws, each the mean of its pairs. Yes: it lies above 0, and that of no task below it; partly: one of them lies
    above 0; no: none does, and the one over draws ends below the gain that is published over LoRA; else, and with fewer
    than five different draws, it is inconclusive.
    """
    runs = grid_runs(tables)
    ours, theirs = of_method(runs, "circuit_lora"), of_method(runs, "random_lora")
    tasks = gains(ours, theirs, "accuracy", unit="difference, by task (over runs)")[1:]
    draws = _by_draw(ours, theirs)
    every = mean_interval(_EVERY, [figure.value for figure in draws if figure.value is not None], unit=draws[0].unit)
    enough = len(draws) >= LEAST_N
    verdict: Verdict = gain_verdict([every, *tasks]) if enough else INCONCLUSIVE
    return Answer(
        verdict,
        _SENTENCES[verdict] if enough else _too_few(ours, draws),
        [*with_null(0.0, [every, *draws]), *table_only(tasks)],
        axis="accuracy of CircuitLoRA minus that of random layers",
        line="no difference",
        details=[
            f"CircuitLoRA minus random layers: {interval(every)}, n counting different draws.",
            f"By draw: {'; '.join(f'{figure.name} {interval(figure)}' for figure in draws)}, n counting runs.",
        ],
        evidence=[
            f"A seed draws its layers once for all tasks: {len(theirs)} runs have {len(draws)} different draws.",
            f"The circuit named {_layers(sorted(_named(ours).unique()))}.",
            budgets(ours, theirs),
            seeds_note(ours),
        ],
    )


_SENTENCES: dict[Verdict, str] = {
    "yes": "The layers that the circuit names give more accuracy than layers drawn at random.",
    "partly": "The layers that the circuit names are better than random ones on some tasks only.",
    "no": "The layers that the circuit names are no better than layers drawn at random.",
    INCONCLUSIVE: "The draws differ too much to say whether the circuit's layers are better.",
}


def _too_few(ours: pd.DataFrame, draws: list[FindingFigure]) -> str:
    named = _layers(sorted(_named(ours).unique()))
    return (
        f"The circuit always named {named}, and chance drew only {' and '.join(figure.name for figure in draws)}: too "
        "few draws to say that the circuit chooses well."
        if _named(ours).nunique() == 1
        else f"Chance drew only {len(draws)} different sets of layers: too few to say that the circuit chooses well."
    )


def _by_draw(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[FindingFigure]:
    """The mean gain over each different draw of layers, n counting its runs. Raises Missing."""
    gain = (paired(ours, "accuracy") - paired(theirs, "accuracy")).dropna()
    draws = pd.Series(_named(theirs).to_numpy(), index=pd.MultiIndex.from_frame(theirs[PAIR])).reindex(gain.index)
    if gain.empty or draws.isna().all():
        raise Missing("No corpus and seed was trained both ways. Add runs of both on the same ones.")
    unit = "difference, by random draw"
    return [mean_interval(_layers([layers]), values, unit=unit) for layers, values in gain.groupby(draws)]


def _named(runs: pd.DataFrame) -> "pd.Series[Any]":
    return need(runs, ["critical_layers"])["critical_layers"].astype(str)


def _layers(names: list[str]) -> str:
    """Such as “layer 1”, “layers 0 and 2”, of texts such as “0 2”."""
    numbers = sorted({number for name in names for number in name.split()})
    return f"layer{'s' if len(numbers) > 1 else ''} {' and '.join(numbers)}"
