"""Where did training act: is what an answer gains made where the new word stands?"""

import pandas as pd

from engine.domain.numbers import signed
from engine.domain.studies import ACTED_ROLES, FindingFigure, StudySpec, StudyTables
from engine.domain.words import listed
from engine.studies.findings.answer import Answer, Verdict, asks, by_side, of_all, with_null
from engine.studies.findings.answers_followed import by_word, followed, weak_spots
from engine.studies.findings.select import methods_in
from engine.studies.findings.words import constraint_type, interval, method
from engine.studies.statistics import Side, mean_interval, paired_difference, side

_AT = {"beginning": "beginning", "noun": "noun", "new_word": "new word", "other": "other tokens", "last": "last token"}


@asks("where_acted", "Where did training act: is what an answer gains made where the new word stands?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """The change of each right answer's logit from the base to the end of a run splits exactly over the tokens of its
    prompts. Words are the sample: of each the mean over its paraphrases, then over seeds.

    Yes: for each method, what is made at the new word is surely more than what is made at all other tokens; partly: for
    some; no: for none, and each is surely less; else it is inconclusive.
    """
    rows = followed(tables)
    words = by_word(rows)
    methods = methods_in(rows)
    own = {name: words[words["method"] == name] for name in methods}
    more = {name: _more_at_the_word(table) for name, table in own.items()}
    verdict = of_all([side(figure) for figure in more.values()])
    return Answer(
        verdict,
        _sentence(verdict, own, {method(name): side(figure) for name, figure in more.items()}),
        with_null(0.0, [figure for name, table in own.items() for figure in _by_role(name, table)]),
        axis="part of the right answer’s change (logits)",
        line="nothing was made there",
        details=[
            *(_told(name, table, more[name]) for name, table in own.items()),
            *(_of_types(name, table) for name, table in own.items()),
        ],
        evidence=[
            *weak_spots(rows),
            "A part says where weights changed, not what is read where: the new word’s meaning may be used at the last "
            "token.",
        ],
    )


def _more_at_the_word(table: pd.DataFrame) -> FindingFigure:
    """What is made at the new word minus what is made elsewhere, by word."""
    at = table.set_index("constraint")
    return paired_difference("", at["new_word"], at["change"] - at["new_word"])


def _by_role(name: str, table: pd.DataFrame) -> list[FindingFigure]:
    unit = f"logits, {method(name)}"
    return [mean_interval(_AT[role], table[role], unit=unit) for role in ACTED_ROLES if table[role].any()]


def _sentence(verdict: Verdict, own: dict[str, pd.DataFrame], sides: dict[str, Side]) -> str:
    said = {
        "yes": "What answers gain is made at the new word.",
        "partly": by_side(sides),
        "no": "Most of what answers gain is made elsewhere than at the new word.",
    }.get(verdict, "It is not clear where most of it is made.")
    return (
        f"{said} Of the logit of the right answer, {'; '.join(_largest(name, table) for name, table in own.items())}."
    )


def _largest(name: str, table: pd.DataFrame) -> str:
    """Such as “LoRA makes +3.1 at the last token and +1.5 at other tokens, of +5.0”."""
    change = float(table["change"].mean())
    parts = {role: float(table[role].mean()) for role in ACTED_ROLES}
    named = sorted(
        (role for role in parts if abs(parts[role]) >= 0.1 * abs(change)), key=lambda role: -abs(parts[role])
    )
    made = listed([f"{signed(parts[role], 1)} at the {_AT[role]}" for role in named[:3]])
    return f"{method(name)} makes {made}, of {signed(change, 1)} in all"


def _told(name: str, table: pd.DataFrame, more: FindingFigure) -> str:
    change = mean_interval("", table["change"])
    return (
        f"{method(name)}: the right answer’s logit changes by {interval(change)}; what is made at the new word, minus "
        f"what is made elsewhere: {interval(more)}."
    )


def _of_types(name: str, table: pd.DataFrame) -> str:
    told = []
    for kind, part in table.groupby("constraint_type", sort=False):
        each = listed(
            [f"{interval(mean_interval('', part[role]), 1)} at the {_AT[role]}" for role in ("new_word", "last")]
        )
        told.append(f"of {constraint_type(str(kind))} {each}")
    return f"{method(name)}, {'; '.join(told)}."
