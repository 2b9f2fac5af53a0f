"""What a study says to each question: one question a file, all of one shape.

Every rule for a verdict is stated in its `find`'s docstring and rests on 95 % intervals, which are not corrected for
the number of questions asked.
"""

from engine.domain.studies import Finding, StudySpec, StudyTables
from engine.studies.findings import (
    controls,
    curriculum,
    learning_speed,
    lookup_or_meaning,
    loss_or_word,
    overlap_predicts,
    prediction,
    saturation_stop,
    stopping_saves,
    types_differ,
)
from engine.studies.findings.answer import Find

QUESTIONS: tuple[Find, ...] = (
    learning_speed.find,
    saturation_stop.find,
    types_differ.find,
    prediction.find,
    stopping_saves.find,
    curriculum.find,
    loss_or_word.find,
    overlap_predicts.find,
    lookup_or_meaning.find,
    controls.find,
)


def findings(tables: StudyTables, spec: StudySpec, *, command: str) -> tuple[Finding, ...]:
    """One finding a question, in the order of the page; what the study lacks is said in the finding's answer.

    `command`: makes the study again.
    """
    return tuple(find(tables, spec, command) for find in QUESTIONS)


__all__ = ["QUESTIONS", "findings"]
