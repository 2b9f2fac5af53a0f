"""Do simple mappings learn faster than spatial relationships?"""

from typing import Any

import pandas as pd

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.select import (
    LEARNED,
    by_pair,
    captures_of,
    first_steps,
    full_runs,
    methods_in,
    of_method,
    past_end,
)
from engine.studies.findings.words import ALL_METHODS, constraint_type, interval, listed, method, number, turned
from engine.studies.statistics import Side, paired_difference, side


@asks("learning_speed", "Do simple mappings learn faster than spatial relationships?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: the first captured step at which paraphrase accuracy is 0.9, spatial minus simple, by run.

    Where one type never gets there it counts as one capture past the end, the least it can be; a run in which neither
    does is left out. Yes: the interval over all methods lies above 0, and that of no method lies below it or within one
    capture of it; partly: one of these intervals lies above 0, but others do not agree; no: none does, and the one over
    all methods lies below 0 or within one capture of it; else it cannot be told.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["paraphrase"])
    first = first_steps(captures)
    if not {SIMPLE, SPATIAL} <= set(first.columns):
        raise Missing("The study's corpus does not have both constraint types. Use one that has, such as “demo”.")
    some = first[first[[SIMPLE, SPATIAL]].notna().any(axis=1)]
    held = some.apply(lambda column: column.fillna(past_end(captures, spec).reindex(column.index)))
    sides = {kind: by_pair(runs, held[kind]) for kind in (SIMPLE, SPATIAL)}
    return _answer(sides, first, methods_in(runs), spec)


def _answer(sides: dict[str, "pd.Series[Any]"], first: pd.DataFrame, methods: list[str], spec: StudySpec) -> Answer:
    def ahead(name: str, of: dict[str, "pd.Series[Any]"]) -> FindingFigure:
        return paired_difference(name, of[SPATIAL], of[SIMPLE], unit="steps")

    each = {
        name: ahead(method(name), {kind: of_method(steps, name) for kind, steps in sides.items()}) for name in methods
    }
    every = ahead(ALL_METHODS, sides)
    verdict = _verdict(*(side(figure, margin=spec.capture_every) for figure in (every, *each.values())))
    means = {kind: number(float(steps.mean()), 0) if len(steps) else "no" for kind, steps in sides.items()}
    text = (
        f"Simple mappings reach nine right answers in ten after {means[SIMPLE]} steps and spatial relationships after "
        f"{means[SPATIAL]}: {_who(every)}."
        if every.n
        else f"No run reached {LEARNED:g} right answers for either type, so there is nothing to compare."
    )
    return Answer(
        verdict if every.n else UNTOLD,
        text,
        [every, *each.values()],
        reference=0.0,
        axis="steps by which simple mappings are ahead (left of 0: behind)",
        evidence=[*_never(first), f"Scores are known every {spec.capture_every} steps only.", _few_words()],
    )


def _verdict(every: Side, *each: Side) -> Said:
    if every == "above" and not {"below", "same"} & set(each):
        return "yes"
    if "above" in (every, *each):
        return "partly"
    return "no" if every in ("below", "same") else UNTOLD


def _who(figure: FindingFigure) -> str:
    if figure.value is not None and figure.value < 0:
        return f"spatial ones are ahead by {interval(turned(figure), 0, unit='steps')}"
    return f"simple ones are ahead by {interval(figure, 0, unit='steps')}"


def _never(first: pd.DataFrame) -> list[str]:
    never = [
        f"{int(first[kind].isna().sum())} of {len(first)} runs never got there for {constraint_type(kind)}"
        for kind in (SIMPLE, SPATIAL)
        if first[kind].isna().any()
    ]
    return [f"{listed(never)} (counted as just past the end where the other type got there)."] if never else []


def _few_words() -> str:
    return "Five words a type: another five may differ by more than the seeds do."
