"""Where training acted over the probes of one constraint type and kind: means by layer, role, kind of matrix and step.

Prompts are laid together by what their positions are (`engine.analysis.prompt_circuits.Role`); where the new word is
the last position, it counts as the last. A mean is taken first over a word's probes, then over words. Intervals are
Student's over words: they say how far another choice of words would move the mean, not another run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from engine.analysis.acted import MINUS_MEAN, changes_by, layers_named
from engine.analysis.aggregate import group_title
from engine.analysis.means import student
from engine.analysis.prompt_circuits import Role, roles
from engine.domain.acted import ROUNDING, Acted, ChangedMatrix
from engine.domain.corpus import Probe
from engine.domain.errors import ComparisonRefused, InputError
from engine.domain.numbers import decimal, percent, plural, signed
from engine.domain.words import listed

ROLE_NAMES: Final = {
    Role.BEGIN: "beginning",
    Role.NOUN: "noun",
    Role.WORD: "new word",
    Role.OTHER: "other",
    Role.LAST: "last",
}  # in the order in which they are told
_ROLES: Final = tuple(ROLE_NAMES)
_AXES: Final = ("step", "layer", "role", "matrix")
_AT: Final = {"last": "last token", "other": "other tokens"}  # in a sentence
_NAMED = 2  # roles in the sentence, and besides them what was taught
_WORTH_NAMING = 0.05  # of the change


@dataclass(frozen=True, eq=False)
class ActedMean:
    """Arrays have a row a word; each is the mean over its probes."""

    title: str  # simple mapping · paraphrase (40 prompts)
    constraint_type: str
    kind: str  # of the probes
    checkpoints: tuple[str, ...]  # A, those on the way, B
    n_layers: int
    words: tuple[str, ...]
    n_probes: tuple[int, ...]  # of each word
    matrices: tuple[str, ...]  # kinds of them, such as mlp.down_proj
    before: np.ndarray  # (n_words,) the right answer's logit in A
    probability: np.ndarray  # (n_words, n_checkpoints)
    step_changes: np.ndarray  # (n_words, n_stretches) of the logit
    parts: np.ndarray  # (n_words, n_stretches, n_layers + 2, n_roles, n_matrices); the first layer is the embeddings
    n_first: int = 0  # of the probes, of whose answer of several tokens the first was measured

    @property
    def change(self) -> np.ndarray:
        """(n_words,)"""
        return self.step_changes.sum(1)

    @property
    def after(self) -> np.ndarray:
        """(n_words,) the right answer's logit in B"""
        return self.before + self.change

    @property
    def is_same(self) -> bool:
        """As of `Acted`: A, B and all between them answer alike, but for rounding."""
        moved = max(float(np.abs(found).max(initial=0)) for found in (self.step_changes, self.parts))
        return moved <= ROUNDING * max(1.0, *(float(np.abs(ends).max()) for ends in (self.before, self.after)))

    @property
    def sum(self) -> np.ndarray:
        """(n_words,) of all parts"""
        return self.parts.sum((1, 2, 3, 4))

    def until(self, n_stretches: int) -> "ActedMean":
        """The same of the first stretches alone."""
        ends = slice(n_stretches + 1)
        return replace(
            self,
            checkpoints=self.checkpoints[ends],
            probability=self.probability[:, ends],
            step_changes=self.step_changes[:, :n_stretches],
            parts=self.parts[:, :n_stretches],
        )


def acted_mean(measured: Sequence[tuple[Probe, Acted]]) -> ActedMean:
    """Of probes and what was measured on each, of its right answer, between the same checkpoints.

    Raises InputError for no probes, ComparisonRefused where they are not of one constraint type and kind or of the same
    checkpoints, or where the words of a prompt cannot be found in its tokens.
    """
    if not measured:
        raise InputError("There is no probe to average over. Choose at least one.")
    _check(measured)
    (probe, first), words = measured[0], sorted({probe.constraint for probe, _ in measured})
    matrices = tuple(dict.fromkeys(matrix_kind(matrix) for _, one in measured for matrix in one.by_matrix()))
    own = {word: [pair for pair in measured if pair[0].constraint == word] for word in words}

    def by_word(of_one: Any) -> np.ndarray:
        return np.array([np.mean([of_one(*pair) for pair in own[word]], axis=0) for word in words])

    return ActedMean(
        title=group_title(probe.constraint_type, probe.kind, len(measured)),
        constraint_type=probe.constraint_type,
        kind=probe.kind,
        checkpoints=first.key.checkpoints,
        n_layers=first.n_layers,
        words=tuple(words),
        n_probes=tuple(len(pairs) for pairs in own.values()),
        matrices=matrices,
        before=by_word(lambda _, one: one.before),
        probability=by_word(
            lambda _, one: [one.stretches[0].probability_before, *(each.probability_after for each in one.stretches)]
        ),
        step_changes=by_word(lambda _, one: [stretch.after - stretch.before for stretch in one.stretches]),
        parts=by_word(lambda probe, one: _parts(probe, one, matrices)),
        n_first=sum(one.answer != probe.answer.strip() for probe, one in measured),
    )


def matrix_kind(matrix: ChangedMatrix) -> str:
    """What it is called in every layer: the name behind the layer's number, else the last of it."""
    before, number, behind = matrix.name.partition(f".{matrix.layer}.")
    return behind if number else before.rpartition(".")[2]


def mean_table(mean: ActedMean, *by: str) -> pd.DataFrame:
    """Columns `by` (some of step, layer, role, matrix, in this order), then part, low, high, of_change, of_change_low,
    of_change_high.

    A row for every combination in which anything was changed; the rest is summed, so that the parts of a table add up.
    The largest come first; steps and roles without layers and matrices stay in their order. Steps are numbers of
    stretches, from 0. `of_change` is the part over the mean change. NaN is what is not known: an interval of fewer than
    three words, and a share of a change whose interval holds 0.
    """
    summed = mean.parts.sum(tuple(1 + number for number, axis in enumerate(_AXES) if axis not in by))
    rows = []
    for place in np.ndindex(summed.shape[1:]):
        values = summed[(slice(None), *place)]
        if values.any():
            names = [_name(mean, axis, number) for axis, number in zip(by, place, strict=True)]
            rows.append((*names, *student(values), *_share(mean, values)))
    columns = [*by, "part", "low", "high", "of_change", "of_change_low", "of_change_high"]
    table = pd.DataFrame(rows, columns=columns)
    if set(by) <= {"step", "role"}:
        return table
    return table.iloc[np.argsort(-table["part"].abs().to_numpy(), kind="stable")].reset_index(drop=True)


def word_table(mean: ActedMean) -> pd.DataFrame:
    """word, n_probes, before, after, change, sum, and a column a role: what lies under the means."""
    roles_of_word = mean.parts.sum((1, 2, 4))
    table = pd.DataFrame(
        {
            "word": mean.words,
            "n_probes": mean.n_probes,
            "before": mean.before,
            "after": mean.after,
            "change": mean.change,
            "sum": mean.sum,
        }
    )
    return table.assign(**{ROLE_NAMES[role]: roles_of_word[:, column] for column, role in enumerate(_ROLES)})


def mean_sentence(mean: ActedMean) -> str:
    """What the right answer gained on average, at which roles most of it was made, and what the parts add up to."""
    a, b = mean.checkpoints[0], mean.checkpoints[-1]
    if not mean.parts.shape[-1]:
        return f"{a} and {b} have the same weights."
    if mean.is_same:
        return (
            f"{a} and {b} give the same answers to these prompts: the right answer’s logit is "
            f"{decimal(mean.after.mean())} on average in both, and nothing differs by more than rounding."
        )
    change, low, high = student(mean.change)
    by_role = sorted(mean_table(mean, "role").to_dict("records"), key=lambda row: -abs(row["part"]))
    named = [
        f"{signed(row['part'])} at the {_AT.get(row['role'], row['role'])}{_of_change_text(row)}"
        for place, row in enumerate(by_role)
        if (place < _NAMED or row["role"] == ROLE_NAMES[Role.WORD]) and abs(row["part"]) >= _WORTH_NAMING * abs(change)
    ]
    interval = f" ({signed(low)} to {signed(high)})" if np.isfinite(low) else ""
    return (
        f"From {a} to {b} the right answer’s logit{MINUS_MEAN}, {changes_by((a, b))} {signed(change)}{interval} "
        f"on average over {plural(len(mean.words), 'word')} of {mean.title}, from {decimal(mean.before.mean())} to "
        f"{decimal(mean.after.mean())} (probability {percent(mean.probability[:, 0].mean())} to "
        f"{percent(mean.probability[:, -1].mean())}){': ' if named else ''}{listed(named)}. All parts add up to "
        f"{signed(mean.sum.mean())}.{first_tokens_note(mean.n_first)}"
    )


def first_tokens_note(n: int) -> str:
    """To follow what is said of graphs and changes on probes, `n` of whose answers have several tokens."""
    return f" Of {plural(n, 'answer')} of several tokens the first token counts." if n else ""


def mean_record(mean: ActedMean) -> dict[str, Any]:
    """As `acted_record`, of means: every figure is a mean over words with low and high of its interval.

    Keys type, kind, probes, first_tokens (of so many answers the first token alone), same (nothing but rounding
    differs), words, before, after, change, sum, left, places, layers, roles, matrices, steps, by_word.
    """
    steps = mean_table(mean, "step", "role")
    return {
        "type": mean.constraint_type,
        "kind": mean.kind,
        "probes": sum(mean.n_probes),
        "first_tokens": mean.n_first,
        "same": mean.is_same,
        "words": list(mean.words),
        **{name: _estimate(getattr(mean, name)) for name in ("before", "after", "change", "sum")},
        "left": _estimate(mean.change - mean.sum),
        "places": mean_table(mean, "layer", "role").to_dict("records"),
        "layers": mean_table(mean, "layer").to_dict("records"),
        "roles": mean_table(mean, "role").to_dict("records"),
        "matrices": mean_table(mean, "matrix").to_dict("records"),
        "steps": [
            {
                "a": mean.checkpoints[number],
                "b": mean.checkpoints[number + 1],
                "change": _estimate(mean.step_changes[:, number]),
                "sum": _estimate(mean.parts[:, number].sum((1, 2, 3))),
                "roles": steps[steps["step"] == number].drop(columns="step").to_dict("records"),
            }
            for number in range(len(mean.checkpoints) - 1)
        ],
        "by_word": word_table(mean).to_dict("records"),
    }


def layer_names(mean: ActedMean, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its layers as people read them."""
    return layers_named(table, mean.n_layers)


def _parts(probe: Probe, acted: Acted, matrices: Sequence[str]) -> np.ndarray:
    """(n_stretches, n_layers + 2, n_roles, n_matrices)"""
    role = np.array([_ROLES.index(one) for one in roles(probe, acted.tokens)])
    found = np.zeros((len(acted.stretches), acted.n_layers + 2, len(_ROLES), len(matrices)))
    for number, stretch in enumerate(acted.stretches):
        for matrix, parts in zip(stretch.matrices, stretch.by_matrix, strict=True):
            np.add.at(found[number, matrix.layer + 1, :, matrices.index(matrix_kind(matrix))], role, parts)
    return found


def _name(mean: ActedMean, axis: str, number: int) -> object:
    match axis:
        case "layer":
            return number - 1
        case "role":
            return ROLE_NAMES[_ROLES[number]]
        case "matrix":
            return mean.matrices[number]
        case _:
            return number


def _share(mean: ActedMean, values: np.ndarray) -> tuple[float, float, float]:
    """Of parts (n_words,) over the change: a ratio of means, with the interval of its linear approximation."""
    change, low, high = student(mean.change)
    if low <= 0 <= high or change == 0:
        return (np.nan,) * 3
    share = float(values.mean()) / change
    _, low, high = student((values - share * mean.change) / change)
    return share, share + low, share + high


def _of_change_text(row: Mapping[Any, Any]) -> str:
    if not np.isfinite(row["of_change"]):
        return ""
    low, high = row["of_change_low"], row["of_change_high"]
    spread = f", {decimal(low)} to {decimal(high)}" if np.isfinite(low) else ""
    return f" ({decimal(row['of_change'])} of it{spread})"


def _estimate(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("mean", "low", "high"), student(values), strict=True))


def _check(measured: Sequence[tuple[Probe, Acted]]) -> None:
    for what, values, remedy in (
        ("constraint types", {probe.constraint_type for probe, _ in measured}, "Choose one type."),
        ("kinds", {probe.kind for probe, _ in measured}, "Choose one kind of probe."),
        ("checkpoints", {one.key.checkpoints for _, one in measured}, "Measure all between the same two checkpoints."),
        ("states of their checkpoints", {one.key.hashes for _, one in measured}, "Measure the older ones again."),
    ):
        if len(values) > 1:
            raise ComparisonRefused(f"The probes are of {len(values)} {what}. {remedy}")
