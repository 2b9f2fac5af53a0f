"""Where training acted, in tables, records and one sentence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.domain.acted import EMBEDDING_LAYER, Acted, Stretch
from engine.domain.numbers import decimal, percent, signed
from engine.domain.words import listed

_NAMED = 2  # tokens in the sentence
_WORTH_NAMING = 0.05  # of the change
EMBEDDINGS, OUTPUT = "embeddings", "output"


def layer_name(layer: int, n_layers: int) -> str:
    """“L3”; the places before the first layer and behind the last have names."""
    if layer == EMBEDDING_LAYER:
        return EMBEDDINGS
    return OUTPUT if layer == n_layers else f"L{layer}"


def place_table(acted: Acted, stretches: Sequence[Stretch] | None = None) -> pd.DataFrame:
    """layer, position, token, part: a row a place where anything was changed, the largest first."""
    places = acted.places(stretches)
    row, position = np.nonzero(places)
    table = pd.DataFrame(
        {
            "layer": row - 1,
            "position": position,
            "token": [acted.tokens[p] for p in position],
            "part": places[row, position],
        }
    )
    return _largest_first(table)


def token_table(acted: Acted) -> pd.DataFrame:
    """position, token, part, and a column a stretch (its number, from 0): in the order of the prompt."""
    table = pd.DataFrame(
        {"position": np.arange(len(acted.tokens)), "token": acted.tokens, "part": acted.places().sum(0)}
    )
    return table.assign(**{str(number): acted.places([one]).sum(0) for number, one in enumerate(acted.stretches)})


def matrix_table(acted: Acted) -> pd.DataFrame:
    """matrix, layer, part: the largest first."""
    rows = [(one.name, one.layer, float(parts.sum())) for one, parts in acted.by_matrix().items()]
    return _largest_first(pd.DataFrame(rows, columns=["matrix", "layer", "part"]))


def head_table(acted: Acted) -> pd.DataFrame:
    """layer, kind, head, part: the largest first."""
    rows = [(one.layer, one.kind, one.head, float(parts.sum())) for one, parts in acted.by_head().items()]
    return _largest_first(pd.DataFrame(rows, columns=["layer", "kind", "head", "part"]))


def effect_table(acted: Acted) -> pd.DataFrame:
    """layer, kind (MLP, head), head (None of an MLP), position, token, effect: the largest first.

    Empty where nothing is known of the family's places.
    """
    columns = ["layer", "kind", "head", "position", "token", "effect"]
    if acted.effects is None:
        return pd.DataFrame(columns=columns)
    rows: list[tuple[object, ...]] = [
        (layer, "MLP", None, position, acted.tokens[position], float(value))
        for (layer, position), value in np.ndenumerate(acted.effects.mlp)
        if value
    ]
    rows += [
        (layer, "head", head, position, acted.tokens[position], float(value))
        for (layer, head, position), value in np.ndenumerate(acted.effects.head)
        if value
    ]
    table = pd.DataFrame(rows, columns=columns, dtype=object)  # else None makes floats of the heads' numbers
    return _largest_first(table.astype({"layer": int, "position": int, "effect": float}), by="effect")


def acted_sentence(acted: Acted) -> str:
    """What changed by how much, at which tokens most of it was made, and what the parts add up to."""
    a, b, asked = acted.key.checkpoints[0], acted.key.checkpoints[-1], acted.key.explained
    one = len(asked.tokens) == 1
    what = f"the logit of “{acted.answer}”" if one else f"“{acted.answer}”"
    answers = "" if one else f" of {listed([word.strip() for word in acted.words[: len(asked.answers)]])}"
    if not any(stretch.matrices for stretch in acted.stretches):
        return f"{a} and {b} have the same weights: {what} is {decimal(acted.before)} in both."
    first, last = acted.stretches[0], acted.stretches[-1]
    largest = _largest_first(token_table(acted)).head(_NAMED)
    named = [
        f"{signed(part)} at “{token.strip()}”"
        for token, part in zip(largest["token"], largest["part"], strict=True)
        if abs(part) >= _WORTH_NAMING * abs(acted.change)
    ]
    return (
        f"From {a} to {b} {what} changes by {signed(acted.change)}, from {decimal(acted.before)} to "
        f"{decimal(acted.after)} (probability{answers} {percent(first.probability_before)} to "
        f"{percent(last.probability_after)}){': ' if named else ''}{' and '.join(named)}. All parts add up to "
        f"{signed(acted.sum)}."
    )


def acted_record(acted: Acted) -> dict[str, Any]:
    """Keys answer (what is explained, in words), answers, against, before, after, sum, left, places, matrices, heads,
    effects, steps. Places sum to `sum`."""
    words = [word.strip() for word in acted.words]
    n = len(acted.key.explained.answers)
    return {
        "answer": acted.answer,
        "answers": words[:n],
        "against": words[n:],
        "before": acted.before,
        "after": acted.after,
        "sum": acted.sum,
        "left": acted.left,
        "places": place_table(acted).to_dict("records"),
        "matrices": matrix_table(acted).to_dict("records"),
        "heads": head_table(acted).to_dict("records"),
        "effects": effect_table(acted).to_dict("records"),
        "steps": [
            {
                "a": a,
                "b": b,
                "before": one.before,
                "after": one.after,
                "probability_before": one.probability_before,
                "probability_after": one.probability_after,
                "sum": one.sum,
                "points": one.n_points,
                "places": place_table(acted, [one]).to_dict("records"),
            }
            for a, b, one in zip(acted.key.checkpoints[:-1], acted.key.checkpoints[1:], acted.stretches, strict=True)
        ],
    }


def _largest_first(table: pd.DataFrame, *, by: str = "part") -> pd.DataFrame:
    order = table[by].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
