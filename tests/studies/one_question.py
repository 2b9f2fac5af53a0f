"""One question of a study asked by itself: all ten take ten times as long."""

from functools import cache

import pandas as pd

from engine.domain.studies import Grid, StudySpec, StudyTables
from engine.studies.findings.answer import Find


def question(key: str, questions: tuple[Find, ...]) -> Find:
    """That one of `questions` whose finding has the key."""
    return _by_key(questions)[key]


@cache
def _by_key(questions: tuple[Find, ...]) -> dict[str, Find]:
    nothing, spec = StudyTables(pd.DataFrame(), pd.DataFrame()), StudySpec(name="nothing", grids=(Grid(),))
    return {find(nothing, spec, "").key: find for find in questions}
