"""Do simple mappings learn faster than spatial relationships?"""

from typing import Any

import pandas as pd

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.numbers import decimal, percent
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, with_null
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
from engine.studies.findings.words import ALL_METHODS, constraint_type, interval, method, same_words, turned
from engine.studies.statistics import Side, paired_difference, side


@asks("learning_speed", "Do simple mappings learn faster than spatial relationships?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Over full runs: the first captured step at which paraphrase accuracy is 0.9, spatial minus simple, by run.

    Where one type never gets there it counts as one capture past the end, the least it can be; a run in which neither
    does is left out. Yes: the interval over all methods lies above 0, and that of no method lies below it or within one
    capture of it; partly: one of these intervals lies above 0, but others do not agree; no: none does, and the one over
    all methods lies below 0 or within one capture of it; else it is inconclusive.
    """
    runs = full_runs(tables, spec)
    captures = captures_of(tables, runs, ["paraphrase"])
    first = first_steps(captures)
    if not {SIMPLE, SPATIAL} <= set(first.columns):
        raise Missing("The study's corpus does not have both constraint types. Use one that has, such as “demo”.")
    some = first[first[[SIMPLE, SPATIAL]].notna().any(axis=1)]
    held = some.apply(lambda column: column.fillna(past_end(captures, spec).reindex(column.index)))
    sides = {kind: by_pair(runs, held[kind]) for kind in (SIMPLE, SPATIAL)}
    return _answer(sides, first, runs, spec)


def _answer(sides: dict[str, "pd.Series[Any]"], first: pd.DataFrame, runs: pd.DataFrame, spec: StudySpec) -> Answer:
    def ahead(name: str, of: dict[str, "pd.Series[Any]"]) -> FindingFigure:
        return paired_difference(name, of[SPATIAL], of[SIMPLE], unit="steps")

    each = {
        name: ahead(method(name), {kind: of_method(steps, name) for kind, steps in sides.items()})
        for name in methods_in(runs)
    }
    every = ahead(ALL_METHODS, sides)
    where = side(every, margin=spec.capture_every)
    if not every.n:
        return Answer(
            INCONCLUSIVE, f"No run got {percent(LEARNED)} of either type right, so there is nothing to compare.", ()
        )
    means = {kind: decimal(float(steps.mean()), 0) for kind, steps in sides.items()}
    return Answer(
        _verdict(where, *(side(figure, margin=spec.capture_every) for figure in each.values())),
        _sentence(every, where),
        with_null(0.0, [every, *each.values()]),
        axis="steps by which simple mappings are ahead (negative: behind)",
        line="no difference",
        details=[
            f"{percent(LEARNED)} of the paraphrases are right after {means[SIMPLE]} steps for simple mappings and "
            f"{means[SPATIAL]} for spatial relationships, on average.",
            f"{_ahead(every)}; both types of one run are a pair.",
        ],
        evidence=[
            *_never(first),
            f"Scores are known every {spec.capture_every} steps only.",
            same_words(runs["corpus"].nunique()),
        ],
    )


def _verdict(every: Side, *each: Side) -> Verdict:
    if every == "above" and not {"below", "same"} & set(each):
        return "yes"
    if "above" in (every, *each):
        return "partly"
    return "no" if every in ("below", "same") else INCONCLUSIVE


def _sentence(every: FindingFigure, where: Side) -> str:
    if where == "same":
        return "On these words both types were learned at the same pace."
    if where == "open":
        return "On these words neither type was clearly learned first."
    faster, slower = ("simple mappings", "spatial relationships") if where == "above" else (
        "spatial relationships", "simple mappings",
    )  # fmt: skip
    return (
        f"On these words {faster} were learned about {decimal(abs(every.value or 0.0), 0)} steps earlier than {slower}."
    )


def _ahead(every: FindingFigure) -> str:
    if every.value is not None and every.value < 0:
        return f"Spatial relationships are ahead by {interval(turned(every), 0, unit='steps')}"
    return f"Simple mappings are ahead by {interval(every, 0, unit='steps')}"


def _never(first: pd.DataFrame) -> list[str]:
    never = [
        f"{int(first[kind].isna().sum())} of {len(first)} runs never got there for {constraint_type(kind)}"
        for kind in (SIMPLE, SPATIAL)
        if first[kind].isna().any()
    ]
    return [f"{listed(never)}: counted as just past the end where the other type got there."] if never else []
