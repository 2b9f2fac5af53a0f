"""Does meaning overlap early in a run predict inference at its end?"""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, with_null
from engine.studies.findings.correlations import (
    OVERLAP,
    Correlation,
    correlations,
    n_tied,
    predictors,
    resolved_as_none,
)
from engine.studies.findings.select import at_end, captures_of, full_runs, nearest, steps_in
from engine.studies.findings.words import coefficient, same_words
from engine.studies.statistics import side

_EARLY = 0.25  # of the steps


@asks("overlap", "Does meaning overlap early in a run predict inference at its end?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full, watched runs: Spearman's correlation of the meaning overlap (own - other, mean over the types) with
    the final inference accuracy, within methods; early is the capture nearest to a quarter of the steps. Over all runs
    it is shown but not judged: it may only tell the methods apart.

    Yes: the early interval lies above 0; partly: not that one, but one of the later ones; no: all lie below 0 or within
    0.3 of it; else it is inconclusive.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["own", "other", "inference"])
    steps = steps_in(captures)
    if not steps:
        raise Missing("The runs have no capture after the base. Set a smaller “capture_every” in the study file.")
    shown = sorted({nearest(steps, _EARLY * steps[-1]), nearest(steps, 0.5 * steps[-1]), steps[-1]})
    known = predictors(captures, shown)
    if OVERLAP not in known:
        raise Missing("Meaning overlap was never measured. Add “watch: true” to the grid that trains all the steps.")
    final = at_end(captures, "inference")
    found = correlations(OVERLAP, known[OVERLAP], final, runs)
    verdict = _verdict(found)
    return Answer(
        verdict,
        _SENTENCES[verdict],
        with_null(0.0, [*(one.within for one in found), *(one.across for one in found)]),
        axis="rank correlation with final inference accuracy",
        line="no relation",
        details=[
            f"At step {one.step} the rank correlation is {coefficient(one.within)} within methods and "
            f"{coefficient(one.across)} over all runs."
            for one in found
        ],
        evidence=[
            "A correlation over all runs may only tell the methods apart; the verdict rests on that within methods.",
            *n_tied(final),
            same_words(runs["corpus"].nunique()),
        ],
    )


_SENTENCES: dict[Verdict, str] = {
    "yes": "Among runs of one method, those with more meaning overlap early on got more inferences right at the end.",
    "partly": "Not early: among runs of one method, a relation shows only later in the run.",
    "no": "Among runs of one method, meaning overlap does not go with inference at the end.",
    INCONCLUSIVE: "There are too few runs to say whether meaning overlap tells runs of one method apart.",
}


def _verdict(found: list[Correlation]) -> Verdict:
    sides = [side(one.within) for one in found]
    if sides[0] == "above":
        return "yes"
    if "above" in sides:
        return "partly"
    none = all(where == "below" or resolved_as_none(one.within) for where, one in zip(sides, found, strict=True))
    return "no" if none else INCONCLUSIVE
