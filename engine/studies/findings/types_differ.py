"""By circuit change, do the circuits of the two constraint types change differently?"""

from typing import Any

import pandas as pd

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.numbers import decimal, percent
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, with_null
from engine.studies.findings.select import by_pair, captures_of, full_runs, methods_in, of_method
from engine.studies.findings.words import ALL_METHODS, COARSE, interval, method, same_words
from engine.studies.statistics import Side, paired_difference, side

_LAST, _TOTAL = "difference, in the step of the last change", "difference, in the sum of all changes"


@asks("types_differ", "By circuit change, do the circuits of the two constraint types change differently?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full, watched runs: the step of a type's last change above the noise floor (0: it never changed), and the
    sum of its changes from capture to capture; spatial minus simple, by run.

    They differ where either interval excludes 0. Yes: over all methods together, and no two methods say the opposite of
    each other or one that there is no difference (step within one capture of 0); partly: together or in some method,
    but others do not agree; no: nowhere, and the interval of the step over all methods lies within one capture of 0;
    else it is inconclusive.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["change", "said", "fit"])
    looked = captures[captures["change"].notna()]
    if not {SIMPLE, SPATIAL} <= set(looked["constraint_type"]):
        raise Missing("Circuits of both constraint types are needed. Use a corpus that has both, such as “demo”.")
    last = _last_changes(looked)
    total = looked.groupby(["run", "constraint_type"])["change"].sum().unstack("constraint_type")
    figures = {unit: _figures(table, runs, unit) for unit, table in ((_LAST, last), (_TOTAL, total))}
    return _answer(figures, last, looked, runs, spec)


def _last_changes(looked: pd.DataFrame) -> pd.DataFrame:
    """A row a run, a column a type: the last step whose change was surely above the noise; 0 where there was none."""
    steps = looked.assign(at=looked["step"].where(looked["said"] == "change", 0))
    return steps.groupby(["run", "constraint_type"])["at"].max().unstack("constraint_type")


def _figures(table: pd.DataFrame, runs: pd.DataFrame, unit: str) -> list[FindingFigure]:
    """All methods, then each: spatial minus simple."""
    sides = {kind: by_pair(runs, table[kind]) for kind in (SIMPLE, SPATIAL)}

    def later(name: str, of: dict[str, "pd.Series[Any]"]) -> FindingFigure:
        return paired_difference(name, of[SPATIAL], of[SIMPLE], unit=unit)

    return [
        later(ALL_METHODS, sides),
        *(
            later(method(name), {kind: of_method(values, name) for kind, values in sides.items()})
            for name in methods_in(runs)
        ),
    ]


def _verdict(steps: list[Side], totals: list[Side]) -> Verdict:
    """Of all methods together first, then of each."""
    beyond = [bool({by_step, in_all} & {"above", "below"}) for by_step, in_all in zip(steps, totals, strict=True)]
    settled = any(one == "same" and not other for one, other in zip(steps[1:], beyond[1:], strict=True))
    opposed = any({"above", "below"} <= set(sides[1:]) for sides in (steps, totals))
    if beyond[0] and not settled and not opposed:
        return "yes"
    if any(beyond):
        return "partly"
    return "no" if steps[0] == "same" else INCONCLUSIVE


_SENTENCES: dict[Verdict, str] = {
    "yes": "On these words the circuits of the two types changed differently, in all methods alike.",
    "partly": "On these words the circuits of the two types changed differently, but the methods do not agree on how.",
    "no": "On these words the circuits of both types stopped changing at about the same step.",
    INCONCLUSIVE: "The runs differ too much to say whether the circuits of the two types change differently.",
}


def _answer(
    figures: dict[str, list[FindingFigure]], last: pd.DataFrame, looked: pd.DataFrame, runs: pd.DataFrame,
    spec: StudySpec,
) -> Answer:  # fmt: skip
    steps = [side(figure, margin=spec.capture_every) for figure in figures[_LAST]]
    totals = [side(figure) for figure in figures[_TOTAL]]
    low = float((looked["fit"] < spec.decisions.min_fit).mean())
    means = last.mean()
    verdict = _verdict(steps, totals)
    return Answer(
        verdict,
        _SENTENCES[verdict],
        with_null(0.0, [*figures[_LAST], *figures[_TOTAL]]),
        axis="spatial relationships minus simple mappings",
        line="no difference",
        details=[
            f"The last change above the noise floor comes at step {decimal(means[SPATIAL], 0)} for spatial "
            f"relationships and {decimal(means[SIMPLE], 0)} for simple mappings on average, a difference of "
            f"{interval(figures[_LAST][0], 0, unit='steps')}.",
            f"The sum of all changes differs by {interval(figures[_TOTAL][0])}.",
        ],
        evidence=[
            *([f"The transcoders fit badly in {percent(low)} of the measurements, where a change says little."] if low
              else []),
            "The noise floor compares different prompts and misses much: the step of the last change is when changes "
            "stop being large, not when they stop. The sum has the noise in it.",
            COARSE,
            same_words(runs["corpus"].nunique()),
        ],
    )  # fmt: skip
