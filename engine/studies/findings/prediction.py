"""Can inference at the end of a run be predicted by halfway?"""

from engine.domain.numbers import decimal
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only, with_null
from engine.studies.findings.correlations import WEAK, Correlation, correlations, n_tied, predictors, resolved_as_none
from engine.studies.findings.select import at_end, captures_of, full_runs, nearest, steps_in
from engine.studies.findings.words import coefficient, same_words
from engine.studies.statistics import side

_STRONG = 0.5
_SHOWN = (0.25, 0.5, 0.75)  # of the steps


@asks("prediction", "Can inference at the end of a run be predicted by halfway?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: Spearman's correlation of what is known at a capture (paraphrase accuracy, how low the smoothed
    loss is, meaning overlap own - other; means over the types) with the inference accuracy at the end, within methods.
    Over all runs it is shown but not judged: methods differ in everything.

    Yes: by half of the steps some predictor's interval lies above 0.5; partly: at half of the steps one lies above 0;
    no: every predictor's lies below 0 or within 0.3 of it there; else it is inconclusive.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["inference"])
    final = at_end(captures, "inference")
    last = int(captures["step"].max())
    early = [step for step in steps_in(captures) if step < last]
    if not early:
        raise Missing("The runs have no capture before their end. Set a smaller “capture_every” in the study file.")
    found = {name: correlations(name, values, final, runs) for name, values in predictors(captures, early).items()}
    half = nearest(early, last / 2)
    at_half = [one for each in found.values() for one in each if one.step == half]
    until = [one for each in found.values() for one in each if one.step <= half]
    verdict = _verdict(until, at_half)
    return Answer(
        verdict,
        _sentence(verdict, until, at_half),
        _figures(found, half, sorted({nearest(early, share * last) for share in _SHOWN})),
        axis="rank correlation with final inference accuracy",
        line="no relation",
        details=[
            f"At step {half}, {one.name}: {coefficient(one.within)} within methods, {coefficient(one.across)} over all "
            "runs."
            for one in at_half
        ],
        evidence=[
            *n_tied(final),
            *(["Circuits were not traced, so meaning overlap is missing."] if len(found) < 3 else []),
            "A correlation over all runs may only tell the methods apart; the verdict rests on those within methods.",
            f"{len(found)} predictors were tried, without a correction for that.",
            same_words(runs["corpus"].nunique()),
        ],
    )


def _verdict(until: list[Correlation], at_half: list[Correlation]) -> Verdict:
    if any(side(one.within, null=_STRONG) == "above" for one in until):
        return "yes"
    if any(side(one.within) == "above" for one in at_half):
        return "partly"
    none = [side(one.within) == "below" or resolved_as_none(one.within) for one in at_half]
    return "no" if none and all(none) else INCONCLUSIVE


def _sentence(verdict: Verdict, until: list[Correlation], at_half: list[Correlation]) -> str:
    if verdict == "yes":
        first = min((one for one in until if side(one.within, null=_STRONG) == "above"), key=lambda one: one.step)
        return f"Among runs of one method, {first.name} at step {first.step} goes strongly with inference at the end."
    if verdict == "partly":
        above = [one for one in at_half if side(one.within) == "above"]
        best = max(above, key=lambda one: one.within.value or 0.0)
        return f"Among runs of one method, {best.name} at halfway goes with inference at the end, but only loosely."
    if verdict == "no":
        return (
            "Among runs of one method, nothing measured by halfway goes with inference at the end "
            f"(all within {decimal(WEAK, 1)} of no relation)."
        )
    return "Among runs of one method, nothing measured by halfway clearly goes with inference at the end."


def _figures(found: dict[str, list[Correlation]], half: int, shown: list[int]) -> list[FindingFigure]:
    """The chart has the captures at half of the steps, the table those before and after as well."""
    every = [one for each in found.values() for one in each if one.step in shown]
    now, others = ([one for one in every if (one.step == half) == at] for at in (True, False))
    drawn = [*(one.within for one in now), *(one.across for one in now)]
    return with_null(0.0, [*drawn, *table_only([*(one.within for one in others), *(one.across for one in others)])])
