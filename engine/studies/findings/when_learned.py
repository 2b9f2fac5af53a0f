"""When was it learned: is half of what an answer gains there by half of the steps?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.analysis.learned import AT_REST, HALF, MOST
from engine.domain.numbers import decimal, percent, plural
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.findings.answer import Answer, Missing, Verdict, asks, by_side, of_all, table_only, with_null
from engine.studies.findings.answers_followed import followed, gained, weak_spots
from engine.studies.findings.select import methods_in
from engine.studies.findings.words import constraint_type, interval, method
from engine.studies.statistics import Side, mean_interval, side

_UNITS = {
    "half": "step, half is there",
    "most": f"step, {percent(MOST)} is there",
    "rest": "step, at rest",
}


@asks("when_learned", "When was it learned: is half of what an answer gains there by half of the steps?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Of each word's right answers, over the run and means over seeds: the checkpoint from which on at least half of
    what they gain in all is always there; likewise nine tenths; and from which on they stay within a tenth of it. Words
    whose answers gain nothing are left out.

    Yes: for each method, the first of these surely comes before half of the steps; partly: for some; no: for none, and
    each surely comes later; else it is inconclusive.
    """
    rows = followed(tables)
    last = int(rows["step"].max())
    own = {name: _MethodWords.of(gained(rows[rows["method"] == name])) for name in methods_in(rows)}
    if not any(len(words.moments) for words in own.values()):
        raise Missing("No answer of the study gained anything, so there is nothing to say when. Train longer.")
    half = {name: words.figure(method(name), "half") for name, words in own.items()}
    sides = {figure.name: side(figure, null=last / 2) for figure in half.values()}
    verdict = of_all(list(sides.values()), wanted="below")
    return Answer(
        verdict,
        _sentence(verdict, own, last, sides),
        [
            *with_null(last / 2, half.values()),
            *with_null(None, [words.figure(method(name), "most") for name, words in own.items()]),
            *with_null(None, [words.figure(method(name), "rest") for name, words in own.items()]),
            *table_only([figure for name, words in own.items() for figure in words.of_types(name)]),
        ],
        axis="step",
        line=f"step {last // 2}, half of the steps",
        details=[_told(name, words) for name, words in own.items()],
        evidence=[
            f"There: from that step on always. At rest: from there on within {percent(AT_REST)} of what is gained.",
            f"Answers are measured every {_every(rows)} steps only.",
            *weak_spots(rows),
            *(_left_out(name, words) for name, words in own.items() if words.n_left_out),
        ],
    )


@dataclass(frozen=True, eq=False)
class _MethodWords:
    """Of one method: half, most and rest (steps) of each word that gained something."""

    moments: pd.DataFrame  # indexed by method, constraint type and word
    n_left_out: int

    @classmethod
    def of(cls, moved: pd.DataFrame) -> "_MethodWords":
        """`moved`: as `gained`."""
        kept = moved[moved.iloc[:, -1] > 0]
        steps = [int(step) for step in kept.columns]
        shares = kept.to_numpy() / kept.to_numpy()[:, -1:]
        return cls(
            pd.DataFrame(
                {
                    "half": [_first(row >= HALF, steps) for row in shares],
                    "most": [_first(row >= MOST, steps) for row in shares],
                    "rest": [_rest(row, steps) for row in shares],
                },
                index=kept.index,
                dtype=float,
            ),
            len(moved) - len(kept),
        )

    def figure(self, name: str, which: str) -> FindingFigure:
        return mean_interval(name, self.moments[which], unit=_UNITS[which])

    def of_types(self, name: str) -> list[FindingFigure]:
        return [
            mean_interval(f"{method(name)}, {constraint_type(str(kind))}", own[which], unit=_UNITS[which])
            for kind, own in self.moments.groupby(level="constraint_type", sort=False)
            for which in _UNITS
        ]


def _first(there: np.ndarray, steps: list[int]) -> int:
    """The first step from which on it is always there; at the last one it is."""
    missing = np.flatnonzero(~there)
    return steps[missing[-1] + 1] if len(missing) else steps[0]


def _rest(shares: np.ndarray, steps: list[int]) -> int:
    for place in range(len(steps)):
        if (np.abs(shares[place:] - shares[place]) <= AT_REST).all():
            return steps[place]
    raise AssertionError("the last step is near itself")


def _left_out(name: str, words: _MethodWords) -> str:
    n, of = words.n_left_out, words.n_left_out + len(words.moments)
    return f"{method(name)}: {plural(n, 'word')} of {of} gained nothing and {'is' if n == 1 else 'are'} left out."


def _sentence(verdict: Verdict, own: dict[str, _MethodWords], last: int, sides: dict[str, Side]) -> str:
    said = {
        "yes": "Half of what answers gain is there by half of the steps.",
        "partly": by_side(sides, wanted="below"),
        "no": "Half of what answers gain comes only in the second half of the steps.",
    }.get(verdict, "It is not clear that half of it is there by half of the steps.")
    means = [
        f"{method(name)} has half of it from step {decimal(float(words.moments['half'].mean()), 0)} on and moves no "
        f"more from step {decimal(float(words.moments['rest'].mean()), 0)}"
        for name, words in own.items() if len(words.moments)
    ]  # fmt: skip
    return f"{said} On average {listed(means)}, of {last}."


def _told(name: str, words: _MethodWords) -> str:
    each = [f"{_SAID[which]} {interval(words.figure('', which), 0)}" for which in _UNITS]
    return f"{method(name)}, steps: {listed(each)}."


_SAID = {"half": "half from", "most": f"{percent(MOST)} from", "rest": "at rest from"}


def _every(rows: pd.DataFrame) -> int:
    steps = np.unique(rows["step"])
    return int(np.diff(steps, prepend=0).max())
