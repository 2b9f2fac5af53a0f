"""When a run learned: how far the right answer's logit moved from checkpoint to checkpoint, and when it was there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from engine.analysis.acted_mean import ActedMean, layer_names, mean_record, mean_table
from engine.analysis.means import student
from engine.domain.numbers import percent, signed, step_name

HALF, MOST = 0.5, 0.9  # of the change
AT_REST: Final = 0.1  # of the change: less than this is no move any more
_MOVED = {"up": "up", "down": "down", "open": "not clear"}


@dataclass(frozen=True)
class Moments:
    """Steps of checkpoints; None where it is not so before the last one, or where the change may be none at all."""

    half: int | None  # from here on, half of the change is always there
    most: int | None  # nine tenths
    rest: int | None  # from here on, the logit surely stays within a tenth of the change of what it is here


def logits(mean: ActedMean) -> np.ndarray:
    """(n_words, n_checkpoints) of the right answers."""
    return mean.before[:, None] + np.cumsum(np.pad(mean.step_changes, ((0, 0), (1, 0))), axis=1)


def moments(mean: ActedMean, steps: Sequence[int]) -> Moments:
    """`steps`: of the mean's checkpoints. What is surely so is so with the whole 95% interval over words."""
    change, low, high = student(mean.change)
    if change == 0 or low <= 0 <= high:
        return Moments(None, None, None)
    at = logits(mean)
    gained = (at.mean(0) - at[:, 0].mean()) / change
    half, most = (
        _first([bool((gained[place:] >= share).all()) for place in range(len(steps))]) for share in (HALF, MOST)
    )
    rest = _first([_rests(at[:, place:], AT_REST * abs(change)) for place in range(len(steps) - 1)])
    return Moments(*(None if place is None else steps[place] for place in (half, most, rest)))


def stretch_table(mean: ActedMean, steps: Sequence[int]) -> pd.DataFrame:
    """from, to (steps), change, low, high (95% over words; NaN of fewer than three), moved (up, down, not clear), and a
    column a role, and `layers`: the two layers with the largest parts, in words."""
    by_role = mean_table(mean, "step", "role")
    by_layer = layer_names(mean, mean_table(mean, "step", "layer"))
    rows = []
    for number, (start, end) in enumerate(pairwise(steps)):
        change, low, high = student(mean.step_changes[:, number])
        roles = by_role[by_role["step"] == number].set_index("role")["part"]
        layers = by_layer[by_layer["step"] == number].head(2)
        named = [f"{layer} {signed(value)}" for layer, value in zip(layers["layer"], layers["part"], strict=True)]
        told = {"from": start, "to": end, "change": change, "low": low, "high": high}
        rows.append(told | {"moved": _moved(low, high), **roles.to_dict(), "layers": ", ".join(named)})
    roles_there = list(dict.fromkeys(by_role["role"]))
    columns = ["from", "to", "change", "low", "high", "moved", *roles_there, "layers"]
    return pd.DataFrame(rows, columns=columns).fillna(dict.fromkeys(roles_there, 0.0))


def moments_sentence(mean: ActedMean, steps: Sequence[int]) -> str:
    """From when half and 90% of the change were there, which stretch moved it most, and since when it is at rest. Empty
    for a single stretch."""
    found, table = moments(mean, steps), stretch_table(mean, steps)
    if len(table) < 2 or mean.is_same:
        return ""
    if found.half is None:
        return "Its change is not surely different from none, so it is not told when it came about."
    most = table.iloc[int(table["change"].abs().argmax())]
    came = f"Half of it was there, and stayed, from {step_name(found.half)} on"
    came += f", {percent(MOST)} from {step_name(found.most)}" if found.most is not None else ""
    rest = (
        f"From {step_name(found.rest)} on it moved no more: it surely stayed within {percent(AT_REST)} of its change."
        if found.rest is not None
        else f"It is not known to have come to rest: {_why_open(mean)}."
    )
    stretch = f"from {step_name(most['from'])} to {step_name(most['to'])}"
    return f"{came}. It moved most {stretch} ({signed(most['change'])}). {rest}"


def learned_record(mean: ActedMean, steps: Sequence[int]) -> dict[str, Any]:
    """`mean_record`, with half_step, most_step, rest_step (None as in `Moments`); its steps have from_step, to_step and
    layers, too."""
    found, record = moments(mean, steps), mean_record(mean)
    layers = mean_table(mean, "step", "layer")
    for number, (step, ends) in enumerate(zip(record["steps"], pairwise(steps), strict=True)):
        step |= {"from_step": ends[0], "to_step": ends[1]}
        step["layers"] = layers[layers["step"] == number].drop(columns="step").to_dict("records")
    return record | {"half_step": found.half, "most_step": found.most, "rest_step": found.rest}


def _first(holds: Sequence[bool]) -> int | None:
    return holds.index(True) if True in holds else None


def _rests(at: np.ndarray, allowed: float) -> bool:
    """Whether the logits (n_words, n_checkpoints) surely stay within `allowed` of the first ones."""
    ends = [student(at[:, place] - at[:, 0])[1:] for place in range(1, at.shape[1])]
    return all(-allowed <= low and high <= allowed for low, high in ends)


def _moved(low: float, high: float) -> str:
    return _MOVED["up" if low > 0 else "down" if high < 0 else "open"]


def _why_open(mean: ActedMean) -> str:
    n = len(mean.words)
    if n < 3:
        return "fewer than three words cannot tell"
    return f"behind no checkpoint did it surely stay within {percent(AT_REST)} of its change, with {n} words"
