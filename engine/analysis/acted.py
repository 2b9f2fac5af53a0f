"""Where training acted, in tables, records and one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.word_pieces import TokenSpan, summed, words
from engine.domain.acted import EMBEDDING_LAYER, Acted, Stretch
from engine.domain.numbers import decimal, percent, signed
from engine.domain.words import listed, token_name

_NAMED = 2  # words in the sentence
_WORTH_NAMING = 0.05  # of the change
_MOST = 0.8  # of a word's part
ABOVE_MEAN = "Logits here are above the mean of all tokens."
MINUS_MEAN = ", minus the mean logit"  # behind the name of one: of all tokens' logits, which move, too
ESTIMATED = (
    "Parts are taken from gradients at points on the way from A to B, so their sum is near the change, not equal to it."
)
EMBEDDINGS, OUTPUT = "embeddings", "output"
BY_TRAINING, BETWEEN_RUNS = "Where training acted", "Where they differ"


@dataclass(frozen=True)
class NamedPlace:
    """A word at which much of a change was made, and the layers in which it was."""

    position: int  # of its first token
    part: float  # of the whole word
    first: int  # layers, the last one included; they make at least _MOST of the part
    last: int


def is_by_training(checkpoints: Sequence[str]) -> bool:
    """Whether training led from the first of these checkpoints (RUN@LABEL, canonical) to the last, or back. From one
    run to another none did, but from the base that both have."""
    (run_a, _, a), (run_b, _, b) = (checkpoints[place].partition("@") for place in (0, -1))
    return run_a == run_b or "base" in (a, b)


def changes_by(checkpoints: Sequence[str]) -> str:
    """What is said of a figure, from the first of these to the last."""
    return "changes by" if is_by_training(checkpoints) else "differs by"


def layer_name(layer: int, n_layers: int) -> str:
    """“L3”; the places before the first layer and behind the last have names."""
    if layer == EMBEDDING_LAYER:
        return EMBEDDINGS
    return OUTPUT if layer == n_layers else f"L{layer}"


def layers_named(table: pd.DataFrame, n_layers: int) -> pd.DataFrame:
    """The table with its layers as people read them."""
    return table.assign(layer=[layer_name(layer, n_layers) for layer in table["layer"].tolist()])


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


def move_table(acted: Acted) -> pd.DataFrame:
    """source, target (positions), source_token, target_token, effect: what heads bring to a token from another.

    The largest first. Empty where nothing is known of the family's places.
    """
    move = np.zeros((0, 0)) if acted.effects is None else acted.effects.move
    target, source = np.nonzero(move * (1 - np.eye(len(move))))
    table = pd.DataFrame(
        {
            "source": source,
            "target": target,
            "source_token": [acted.tokens[p] for p in source],
            "target_token": [acted.tokens[p] for p in target],
            "effect": move[target, source],
        }
    )
    return _largest_first(table, by="effect")


def named_places(acted: Acted, spans: Sequence[TokenSpan] | None = None) -> list[NamedPlace]:
    """Where most of the change was made: at most _NAMED words, or `spans`, each with its shortest run of layers."""
    joined = words(acted.tokens) if spans is None else spans
    places = summed(acted.places(), joined)  # row 0 is EMBEDDING_LAYER
    parts = places.sum(0)
    return [
        NamedPlace(joined[column].first, float(parts[column]), *_layers_of(places[:, column]))
        for column in np.argsort(-np.abs(parts), kind="stable")[:_NAMED]
        if abs(parts[column]) >= _WORTH_NAMING * abs(acted.change)
    ]


def _layers_of(parts: np.ndarray) -> tuple[int, int]:
    first, last = _span(parts)
    return first + EMBEDDING_LAYER, last + EMBEDDING_LAYER


def _span(parts: np.ndarray) -> tuple[int, int]:
    """First and last row of the shortest run that makes _MOST of what parts (n_rows,) sum to; of equals the largest."""
    total = float(parts.sum())
    upto = np.concatenate([[0.0], np.cumsum(parts * np.sign(total))])
    for length in range(1, len(parts)):
        runs = upto[length:] - upto[:-length]
        if runs.max() >= _MOST * abs(total):
            return int(runs.argmax()), int(runs.argmax()) + length - 1
    return 0, len(parts) - 1


def acted_sentence(acted: Acted, spans: Sequence[TokenSpan] | None = None) -> str:
    """What changed by how much, at which tokens and layers most of it was made, and what the parts add up to.

    `spans`: what is told apart; else words.
    """
    a, b, asked = acted.key.checkpoints[0], acted.key.checkpoints[-1], acted.key.explained
    one = len(asked.tokens) == 1
    what = f"the logit of “{acted.answer}”{MINUS_MEAN}," if one else f"“{acted.answer}”"
    answers = "" if one else f" of {listed([word.strip() for word in acted.words[: len(asked.answers)]])}"
    if not any(stretch.matrices for stretch in acted.stretches):
        return f"{a} and {b} have the same weights: {what} is {decimal(acted.before)} in both."
    if acted.is_same:
        return (
            f"{a} and {b} give the same answer to this prompt: {what} is {decimal(acted.after)} in both, and nothing "
            "differs by more than rounding."
        )
    first, last = acted.stretches[0], acted.stretches[-1]
    texts = {span.first: token_name(span.text) for span in (words(acted.tokens) if spans is None else spans)}
    named = [
        f"{signed(one.part)} at “{texts[one.position]}” (most in {_layers(one, acted.n_layers)})"
        for one in named_places(acted, spans)
    ]
    return (
        f"From {a} to {b} {what} {changes_by((a, b))} {signed(acted.change)}, from {decimal(acted.before)} to "
        f"{decimal(acted.after)} (probability{answers} {percent(first.probability_before)} to "
        f"{percent(last.probability_after)}){': ' if named else ''}{' and '.join(named)}. All parts add up to "
        f"{signed(acted.sum)}."
    )


def _layers(one: NamedPlace, n_layers: int) -> str:
    """“L3”, “L19 to L29”"""
    return " to ".join(layer_name(layer, n_layers) for layer in dict.fromkeys((one.first, one.last)))


def first_tokens(acted: Acted, answers: Sequence[str], against: Sequence[str]) -> dict[str, str]:
    """Of the words that were asked for, those of several tokens, with the first, which alone is explained.

    No `answers`: what B says was asked for, which is one token.
    """
    n = len(acted.key.explained.answers)
    asked = [*zip(answers, acted.words[:n], strict=False), *zip(against, acted.words[n:], strict=True)]
    return {word.strip(): output.strip() for word, output in asked if word.strip() != output.strip()}


def acted_record(acted: Acted) -> dict[str, Any]:
    """Keys answer (what is explained, in words), answers, against, before, after, same (nothing but rounding differs),
    sum, left, places, matrices, heads, effects, moves, steps. Places sum to `sum`."""
    words = [word.strip() for word in acted.words]
    n = len(acted.key.explained.answers)
    return {
        "answer": acted.answer,
        "answers": words[:n],
        "against": words[n:],
        "before": acted.before,
        "after": acted.after,
        "same": acted.is_same,
        "sum": acted.sum,
        "left": acted.left,
        "places": place_table(acted).to_dict("records"),
        "matrices": matrix_table(acted).to_dict("records"),
        "heads": head_table(acted).to_dict("records"),
        "effects": effect_table(acted).to_dict("records"),
        "moves": move_table(acted).to_dict("records"),
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
