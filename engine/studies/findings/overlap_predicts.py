"""Does meaning overlap early in a run predict inference at its end?"""

from engine.domain.studies import StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.correlations import OVERLAP, Correlation, correlations, predictors
from engine.studies.findings.select import at_end, captures_of, full_runs, nearest, steps_in
from engine.studies.findings.words import coefficient
from engine.studies.statistics import side

_EARLY = 0.25  # of the steps
_STRONG = 0.5


@asks("overlap", "Does meaning overlap early in a run predict inference at its end?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full, watched runs: Spearman's correlation of the meaning overlap (own - other, mean over the types) with
    the final inference accuracy; early is the capture nearest to a quarter of the steps.

    Yes: early, the intervals over all runs and within methods lie above 0; partly: one of them does, or only that of
    the end of the runs; no: none does, and both early ones end below 0.5; else it cannot be told.
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
    early, last = found[0], found[-1]
    n_ties = int(((final >= 1) | (final <= 0)).sum())
    return Answer(
        _verdict(early, last),
        f"At step {early.step}, how much more a new word wakes of its own meaning than of other meanings has a "
        f"rank correlation with inference at the end of {coefficient(early.across)} over all runs and "
        f"{coefficient(early.within)} within methods; at the last step it is {coefficient(last.across)}.",
        [*(one.within for one in found), *(one.across for one in found)],
        reference=0.0,
        axis="rank correlation with final inference accuracy",
        evidence=[
            "A correlation over all runs may only tell the methods apart; within methods it cannot.",
            *([f"{n_ties} of {len(final)} runs end at exactly 0 or 1, where ranks are ties."] if n_ties else []),
        ],
    )


def _verdict(early: Correlation, last: Correlation) -> Said:
    sides = [side(early.across), side(early.within)]
    if sides.count("above") == 2:
        return "yes"
    if "above" in (*sides, side(last.across)):
        return "partly"
    weak = [side(figure, null=_STRONG) == "below" for figure in (early.across, early.within)]
    return "no" if all(weak) else UNTOLD
