"""The shape that every question has: tables in, an answer out; what a study lacks is an answer too."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Literal

from engine.domain.studies import Finding, FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.statistics import Side

Verdict = Literal["yes", "no", "partly", "inconclusive"]
INCONCLUSIVE: Verdict = "inconclusive"


class Missing(Exception):
    """The study has no runs or columns for this question. Its text: what is missing, and what to add."""


@dataclass(frozen=True)
class Answer:
    """What one question found: a `Finding` without what is the same for every finding of the question.

    The chart draws a panel for each unit of the drawn figures: its heading is what stands after the unit's first comma.
    """

    verdict: Verdict
    text: str  # one sentence in plain words
    figures: Sequence[FindingFigure]
    axis: str = ""
    line: str = ""  # what the nulls of the figures are
    details: Sequence[str] = ()  # sentences with the numbers
    evidence: Sequence[str] = ()  # sentences
    command: str = ""  # makes the figures again, where it is not the study's


Ask = Callable[[StudyTables, StudySpec], Answer]
Find = Callable[[StudyTables, StudySpec, str], Finding]


def asks(key: str, question: str) -> Callable[[Ask], Find]:
    """Makes a `Finding` of what the function answers; of a study without the data for it, one that cannot tell."""

    def wrap(ask: Ask) -> Find:
        @wraps(ask)
        def find(tables: StudyTables, spec: StudySpec, command: str) -> Finding:
            try:
                answer = ask(tables, spec)
            except Missing as missing:
                answer = Answer(INCONCLUSIVE, str(missing), ())
            return Finding(
                key=key,
                question=question,
                verdict=answer.verdict,
                answer=answer.text,
                details=tuple(answer.details),
                figures=tuple(answer.figures),
                axis=answer.axis,
                line=answer.line,
                evidence=" ".join(answer.evidence),
                command=answer.command or command,
            )

        return find

    return wrap


def with_null(null: float | None, figures: Iterable[FindingFigure]) -> list[FindingFigure]:
    """The same figures, each drawn and judged against this value."""
    return [figure.model_copy(update={"null": null}) for figure in figures]


def table_only(figures: Iterable[FindingFigure]) -> list[FindingFigure]:
    """The same figures, left out of the chart."""
    return [figure.model_copy(update={"drawn": False}) for figure in figures]


def by_side(sides: Mapping[str, Side], *, wanted: Side = "above") -> str:
    """Of names whose sides do not agree: “Surely for A; not for B; not clearly for C.”"""
    groups: dict[str, list[str]] = {"Surely": [], "not": [], "not clearly": []}
    for name, one in sides.items():
        groups["Surely" if one == wanted else "not clearly" if one == "open" else "not"].append(name)
    return "; ".join(f"{said} for {listed(names)}" for said, names in groups.items() if names) + "."


def of_all(sides: Sequence[Side], *, wanted: Side = "above") -> Verdict:
    """One verdict of several intervals. Yes: all are where the question asks; partly: some; no: none, and each is
    resolved to be elsewhere; else it is inconclusive."""
    n_wanted = sum(side == wanted for side in sides)
    if sides and n_wanted == len(sides):
        return "yes"
    if n_wanted:
        return "partly"
    return INCONCLUSIVE if not sides or "open" in sides else "no"
