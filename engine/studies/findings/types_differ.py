"""Do patterns differ by constraint type?"""

from typing import Any

import pandas as pd

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.select import by_pair, captures_of, full_runs, methods_in, of_method
from engine.studies.findings.words import ALL_METHODS, interval, method, number, percent, turned
from engine.studies.statistics import Side, paired_difference, side

_LAST, _TOTAL = "difference, in the step of the last change", "difference, in the sum of all changes"


@asks("types_differ", "Do patterns differ by constraint type?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full, watched runs: the step of a type's last change above the noise floor (0: it never changed), and the
    sum of its changes from capture to capture; spatial minus simple, by run.

    They differ where either interval excludes 0. Yes: over all methods together, and no method says the opposite or
    that there is no difference (step within one capture of 0); partly: together or in some method, but others do not
    agree; no: nowhere, and the interval of the step over all methods lies within one capture of 0; else it cannot be
    told.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["change", "said", "fit"])
    looked = captures[captures["change"].notna()]
    if not {SIMPLE, SPATIAL} <= set(looked["constraint_type"]):
        raise Missing("Circuits of both constraint types are needed. Use a corpus that has both, such as “demo”.")
    last = _last_changes(looked)
    total = looked.groupby(["run", "constraint_type"])["change"].sum().unstack("constraint_type")
    figures = {unit: _figures(table, runs, unit) for unit, table in ((_LAST, last), (_TOTAL, total))}
    return _answer(figures, last, looked, spec)


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


def _verdict(steps: list[Side], totals: list[Side]) -> Said:
    """Of all methods together first, then of each."""
    beyond = [bool({by_step, in_all} & {"above", "below"}) for by_step, in_all in zip(steps, totals, strict=True)]
    settled = any(one == "same" and not other for one, other in zip(steps[1:], beyond[1:], strict=True))
    if beyond[0] and not settled and not {"above", "below"} <= set(steps[1:]):
        return "yes"
    if any(beyond):
        return "partly"
    return "no" if steps[0] == "same" else UNTOLD


def _later(figure: FindingFigure) -> str:
    if figure.value is not None and figure.value < 0:
        return f"{interval(turned(figure), 0, unit='steps')} earlier"
    return f"{interval(figure, 0, unit='steps')} later"


def _answer(
    figures: dict[str, list[FindingFigure]], last: pd.DataFrame, looked: pd.DataFrame, spec: StudySpec
) -> Answer:
    steps = [side(figure, margin=spec.capture_every) for figure in figures[_LAST]]
    totals = [side(figure) for figure in figures[_TOTAL]]
    low = float((looked["fit"] < spec.decisions.min_fit).mean())
    means = last.mean()
    return Answer(
        _verdict(steps, totals),
        f"Circuits of spatial relationships last change at step {number(means[SPATIAL], 0)} on average, those of "
        f"simple mappings at step {number(means[SIMPLE], 0)}: {_later(figures[_LAST][0])}; the sum "
        f"of their changes differs by {interval(figures[_TOTAL][0])}.",
        [*figures[_LAST], *figures[_TOTAL]],
        reference=0.0,
        axis="spatial relationships minus simple mappings",
        evidence=[
            *(
                [f"At {percent(low)} of the looks the transcoders fit badly, and a change there says little."]
                if low
                else []
            ),
            "The sum holds noise too: what changes within the noise floor adds to it.",
            "Two types of five words each: a difference may be of these words, not of the type.",
        ],
    )
