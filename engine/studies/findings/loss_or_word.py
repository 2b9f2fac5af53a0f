"""Does a lower loss mean that the word was learned?"""

from typing import Any

import pandas as pd

from engine.domain.numbers import decimal, percent
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Verdict, asks, table_only, with_null
from engine.studies.findings.correlations import ACROSS, WEAK, WITHIN, groups_of, n_tied, resolved_as_none
from engine.studies.findings.select import at_end, captures_of, full_runs, methods_in
from engine.studies.findings.words import coefficient, method, same_words
from engine.studies.statistics import mean_interval, rank_correlation, side


@asks("loss", "Does a lower loss mean that the word was learned?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: Spearman's correlation of how low the final smoothed loss is with the final inference accuracy,
    within methods. Over all runs it is shown but not judged: methods that train different weights can reach different
    losses, whatever they learn.

    Yes: the interval within methods lies above 0; no: it lies below 0, or within 0.3 of it; else it is inconclusive.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["loss", "inference"])
    low_loss, final = -at_end(captures, "loss"), at_end(captures, "inference")
    across = rank_correlation("lower loss", low_loss, final, unit=ACROSS)
    within = rank_correlation("lower loss", low_loss, final, groups=groups_of(runs), unit=WITHIN)
    means = _means(runs, {"loss": -low_loss, "inference": final})
    verdict = _verdict(within)
    return Answer(
        verdict,
        _SENTENCES[verdict],
        [*with_null(0.0, [within, across]), *table_only([*means["loss"], *means["inference"]])],
        axis="rank correlation with inference",
        line="no relation",
        details=[
            f"The rank correlation of a lower loss with inference is {coefficient(within)} within methods and "
            f"{coefficient(across)} over all runs; within {decimal(WEAK, 1)} of 0 counts as none.",
            *_rows(means),
        ],
        evidence=[
            *_frozen_output(runs),
            f"The correlation over all runs tells {len(methods_in(runs))} methods apart, which differ in more than "
            "their loss.",
            *n_tied(final),
            same_words(runs["corpus"].nunique()),
        ],
    )


_SENTENCES: dict[Verdict, str] = {
    "yes": "Among runs of one method, those with a lower loss also got more inferences right.",
    "no": "Among runs of one method, a lower loss did not go with more inferences right.",
    INCONCLUSIVE: "Among runs of one method, no clear relation between the loss and what was learned can be seen.",
}


def _verdict(within: FindingFigure) -> Verdict:
    if side(within) == "above":
        return "yes"
    return "no" if side(within) == "below" or resolved_as_none(within) else INCONCLUSIVE


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


def _rows(means: dict[str, list[FindingFigure]]) -> list[str]:
    return [
        f"{loss.name}: loss {decimal(loss.value)}, {percent(score.value)} of the inferences right."
        for loss, score in zip(means["loss"], means["inference"], strict=True)
        if loss.value is not None and score.value is not None
    ]


def _frozen_output(runs: pd.DataFrame) -> list[str]:
    """Why a method that trains nothing but input embeddings has the higher loss."""
    if "tokens" not in set(runs["method"]):
        return []
    return [
        f"Losses of different methods are not comparable: “{method('tokens')}” leaves the output matrix frozen, so it "
        "cannot learn to predict the new words themselves, and their prediction is part of the loss."
    ]
