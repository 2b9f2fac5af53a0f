"""When two ways of training end equally well."""

from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudyTables
from engine.studies.findings.select import EQUAL, at_end, need
from engine.studies.statistics import LEAST_N


def scores_at_end(tables: StudyTables) -> dict[str, "pd.Series[Any]"]:
    """Final paraphrase and inference accuracy by run, means over the types. Raises Missing."""
    captures = need(tables.captures, ["run", "step", "constraint_type", "paraphrase", "inference"])
    return {kind: at_end(captures, kind) for kind in ("paraphrase", "inference")}


def kept(score: FindingFigure) -> bool:
    """The interval of the difference rules out a loss of EQUAL or more."""
    return score.low is not None and score.n >= LEAST_N and score.low > -EQUAL


def surely_lost(score: FindingFigure) -> bool:
    """The whole interval is a loss, and it reaches beyond what counts as equal."""
    ends = score.low, score.high
    return None not in ends and score.n >= LEAST_N and (score.high or 0.0) < 0 and not kept(score)
