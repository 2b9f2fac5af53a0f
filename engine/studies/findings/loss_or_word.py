"""Does a lower loss mean that the word was learned?"""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Said, asks
from engine.studies.findings.correlations import ACROSS, WITHIN, groups_of
from engine.studies.findings.select import at_end, captures_of, full_runs, methods_in
from engine.studies.findings.words import coefficient, listed, method, number
from engine.studies.statistics import mean_interval, rank_correlation, side

_STRONG = 0.5


@asks("loss", "Does a lower loss mean that the word was learned?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: Spearman's correlation of how low the final smoothed loss is with the final inference accuracy,
    over all runs and within methods; and each method's means.

    Yes: both intervals lie above 0; partly: one does; no: neither does, and either the one over all runs lies below 0
    (a lower loss goes with less learned) or both end below 0.5; else it cannot be told.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["loss", "inference"])
    low_loss, final = -at_end(captures, "loss"), at_end(captures, "inference")
    across = rank_correlation("lower loss", low_loss, final, unit=ACROSS)
    within = rank_correlation("lower loss", low_loss, final, groups=groups_of(runs), unit=WITHIN)
    means = _means(runs, {"loss": -low_loss, "inference": final})
    return Answer(
        _verdict(across, within),
        _text(runs, across, within, means),
        [across, within, *means["loss"], *means["inference"]],
        reference=0.0,
        axis="rank correlation with inference",
        evidence=[
            f"Over all runs the {len(methods_in(runs))} methods are told apart, which differ in more than their loss.",
            *_ceiling(final),
        ],
    )


def _means(runs: pd.DataFrame, known: dict[str, "pd.Series[Any]"]) -> dict[str, list[FindingFigure]]:
    units = {"loss": "mean loss", "inference": "mean inference accuracy"}
    of = {name: runs.loc[runs["method"] == name, "run"] for name in methods_in(runs)}
    return {
        kind: [
            mean_interval(
                method(name),
                values.reindex(names),
                unit=units[kind],
                bounds=(0.0, 1.0) if kind == "inference" else None,
            )
            for name, names in of.items()
        ]
        for kind, values in known.items()
    }


def _verdict(across: FindingFigure, within: FindingFigure) -> Said:
    sides = [side(across), side(within)]
    if sides.count("above"):
        return "yes" if sides.count("above") == 2 else "partly"
    weak = [side(figure, null=_STRONG) == "below" for figure in (across, within)]
    return "no" if sides[0] == "below" or all(weak) else UNTOLD


def _text(
    runs: pd.DataFrame, across: FindingFigure, within: FindingFigure, means: dict[str, list[FindingFigure]]
) -> str:
    rows = [
        f"{loss.name} ends at a loss of {number(loss.value)} with {number(score.value)} of the inferences right"
        for loss, score in zip(means["loss"], means["inference"], strict=True)
        if loss.value is not None and score.value is not None
    ]
    return (
        f"The rank correlation of a lower loss with inference is {coefficient(across)} over all runs and "
        f"{coefficient(within)} within methods: {listed(rows)}."
    )


def _ceiling(final: "pd.Series[Any]") -> list[str]:
    n_ties = int(((final >= 1) | (final <= 0)).sum())
    return [f"{n_ties} of {len(final)} runs end at exactly 0 or 1, where ranks are ties."] if n_ties else []
