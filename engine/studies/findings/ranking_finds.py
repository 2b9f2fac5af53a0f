"""Which ranking finds what matters for the change: is it the one that the app goes by?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from engine.domain.numbers import percent, plural
from engine.domain.studies import FIRSTS, RANKING_COLUMNS, FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, with_null
from engine.studies.findings.select import need
from engine.studies.findings.words import interval
from engine.studies.statistics import mean_interval, paired_difference, side

RANDOM = "random"
_BENCH = "python -m engine bench --only rankings --only rankings-real --keep"
_GROUP = "first_5"  # the size of group that is judged
_TITLES: Final = {"correlation": "rank correlation"} | {
    f"first_{n}": "taken back by the first" if n == 1 else f"taken back by the first {n}" for n in FIRSTS
}


@asks("rankings", "Which ranking finds what matters for the change: is it the one that the app goes by?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Of MLPs, features and edges of each model, means over prompts: a ranking's rank correlation with patching single
    places, and what its first 1, 5 and 20 take back together when B gets what A has there, as a share of the logit's
    change. Differences are paired by prompt.

    The app's ranking finds what matters where its first five surely take back more than random groups do. Another one
    is better where its correlation is surely higher, or its first five surely take back more. Yes: of every kind it
    finds what matters, and none is better; partly: of some kinds; no: of none, and each is resolved; else it is
    inconclusive.
    """
    command = f"{_BENCH} {spec.name}"
    rows = tables.rankings
    if rows.empty:
        raise Missing(f"No ranking was held to patching for this study. Add them with `{command}`.")
    kinds = [_Kind.of(key, rows) for key, rows in need(rows, list(RANKING_COLUMNS)).groupby(_KIND, sort=False)]
    verdict = _verdict(kinds)
    return Answer(
        verdict,
        _sentence(kinds),
        [figure for kind in kinds for figure in kind.figures()],
        axis="rank correlation",
        line="random groups; of a rank correlation, none",
        details=[sentence for kind in kinds for sentence in kind.told()],
        evidence=_evidence(kinds, rows),
        command=command,
    )


_KIND = ["what", "model"]


@dataclass(frozen=True, eq=False)
class _Kind:
    """Places of one kind in one model: a table of each figure, a row a prompt, a column a ranking."""

    what: str
    model: str
    default: str
    figures_of: dict[str, pd.DataFrame]

    @classmethod
    def of(cls, key: Any, rows: pd.DataFrame) -> "_Kind":
        what, model = key
        by_prompt = rows.set_index(["run", "prompt", "ranking"])
        figures = {name: by_prompt[name].unstack("ranking") for name in _TITLES}
        order = list(dict.fromkeys(rows["ranking"]))
        return cls(
            what=str(what),
            model=str(model),
            default=str(rows.loc[rows["is_default"], "ranking"].iloc[0]),
            figures_of={name: table.reindex(columns=order) for name, table in figures.items()},
        )

    @property
    def name(self) -> str:
        return f"{self.what} of {self.model}"

    @property
    def rankings(self) -> list[str]:
        return [name for name in self.figures_of["correlation"].columns if name != RANDOM]

    @property
    def found(self) -> str:
        """Where what the first five take back beyond random groups lies: as `side`."""
        return side(paired_difference("", *(self.figures_of[_GROUP][name] for name in (self.default, RANDOM))))

    @property
    def better(self) -> dict[str, list[str]]:
        """By ranking that is surely better: in what."""
        found: dict[str, list[str]] = {}
        for name in self.rankings:
            for figure in ("correlation", _GROUP):
                table = self.figures_of[figure]
                if side(paired_difference("", table[name], table[self.default])) == "above":
                    found.setdefault(name, []).append(figure)
        return found

    def figures(self) -> Iterator[FindingFigure]:
        for name, title in _TITLES.items():
            table = self.figures_of[name]
            null = 0.0 if name == "correlation" else float(np.mean(table[RANDOM]))
            bounds = (-1.0, 1.0) if name == "correlation" else None
            for ranking in self.rankings:
                shown = f"{ranking} (app)" if ranking == self.default else ranking
                figure = mean_interval(shown, table[ranking], unit=f"{title}, {self.name}", bounds=bounds)
                yield from with_null(None if np.isnan(null) else round(null, 3) + 0.0, [figure])

    def told(self) -> list[str]:
        table = self.figures_of
        own, random = ({name: table[name][of] for name in _TITLES} for of in (self.default, RANDOM))
        shares = [f"{percent(float(own[f'first_{n}'].mean()))}" for n in FIRSTS if own[f"first_{n}"].notna().any()]
        others = [
            f"{percent(float(random[f'first_{n}'].mean()))}" for n in FIRSTS if random[f"first_{n}"].notna().any()
        ]
        sizes = [str(n) for n in FIRSTS if own[f"first_{n}"].notna().any()]
        correlation = mean_interval("", own["correlation"])
        better = "; ".join(
            f"{name} is better by {listed([_WORDS[figure] for figure in figures])}"
            for name, figures in self.better.items()
        )
        return [
            f"{self.name}: {self.default} has a rank correlation of {interval(correlation)}; its first "
            f"{listed(sizes)} take back {listed(shares)}, random groups {listed(others)}."
            + (f" Of the others, {better}." if better else "")
        ]


_WORDS: Final = {"correlation": "rank correlation", _GROUP: "what its first five take back"}


def _verdict(kinds: list[_Kind]) -> Verdict:
    good = [kind.found == "above" and not kind.better for kind in kinds]
    if all(good):
        return "yes"
    if any(good):
        return "partly"
    return INCONCLUSIVE if any(kind.found == "open" for kind in kinds) else "no"


def _sentence(kinds: list[_Kind]) -> str:
    """Whether it beats chance, whether another one beats it, each with the kinds of places."""
    found, others = ([kind for kind in kinds if (kind.found == "above") is above] for above in (True, False))
    beaten = [kind for kind in kinds if kind.better]
    said = f"The first five by the app’s ranking take back more than random ones do: {_named(found)}." if found else ""
    if others:
        said += f" They do not clearly do so: {_named(others)}."
    if beaten:
        better = [f"{listed([f'“{name}”' for name in kind.better])} ({kind.name})" for kind in beaten]
        return f"{said} Clearly better in some way: {listed(better)}.".strip()
    return f"{said} No other ranking is clearly better.".strip()


def _named(kinds: list[_Kind]) -> str:
    """Such as “MLPs and edges of one model, MLPs of another”."""
    of_model: dict[str, list[str]] = {}
    for kind in kinds:
        of_model.setdefault(kind.model, []).append(kind.what)
    return "; ".join(f"{listed(whats)} of {model}" for model, whats in of_model.items())


def _evidence(kinds: list[_Kind], rows: pd.DataFrame) -> list[str]:
    counts = [f"{plural(len(kind.figures_of[_GROUP]), 'prompt')} ({kind.name})" for kind in kinds]
    runs = rows.groupby("model", sort=False)["run"].nunique()
    of_runs = [f"{plural(int(n), 'run')} of {model}" for model, n in runs.items()]
    return [
        f"There are {listed(counts)}, from {listed(of_runs)}: intervals are over prompts, not over runs.",
        "The app goes by what did best on prompts like these, and on most of these themselves.",
        "Where there are many places, as of features and edges, only some are patched one by one.",
        "An edge into a feature is patched by the weight that the graph gives it.",
        "More than 100% is no error: the first ones push the way the logit went, and others push against them.",
    ]
