"""Where the explained logit of both sides comes from, and what that means for the marks of a Map: notes for people."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from engine.analysis.parts import ExplainedLogit, explained_logit, said_output
from engine.domain.diffs import MEAN_COLUMNS, GraphDiff
from engine.domain.numbers import decimal, signed
from engine.domain.words import token_name

Origins = tuple[ExplainedLogit, ExplainedLogit]  # in A and in B
MUCH = 0.1  # of the larger logit: what left-out features carry beyond it is told


def origins(diff: GraphDiff) -> Origins | None:
    """None of a mean circuit, which is no graph, and where a graph was measured only after its edges were cut."""
    if MEAN_COLUMNS[0] in diff.nodes or not (diff.a.is_measured_whole and diff.b.is_measured_whole):
        return None
    explained = diff.settings.explained or said_output(diff.b)
    return explained_logit(diff.a, explained), explained_logit(diff.b, explained)


def mean_origins(of: Iterable[Origins], words: str) -> Origins:
    """Over prompts; `words`: what is explained of all of them."""
    a, b = zip(*of, strict=True)
    return _mean(a, words), _mean(b, words)


def _mean(sides: tuple[ExplainedLogit, ...], words: str) -> ExplainedLogit:
    names = ("logit", "tokens", "errors", "left_out", "constants")
    means = {name: float(np.mean([getattr(one, name) for one in sides])) for name in names}
    return replace(sides[0], token=words, **means)


def marks_note(words: str, found: Origins | None) -> str:
    """What a mark of the Map is, and is not; how large the constants are where that is known."""
    size = "" if found is None else f": {signed(found[0].constants)} in A, {signed(found[1].constants)} in B"
    return (
        f"A mark is what of “{token_name(words)}” runs through a layer’s features and error at a word, directly or by "
        "later layers. Marks overlap, so they do not add up to it. Biases, also a layer’s own transcoder’s, count as "
        f"constants{size}."
    )


def left_out_of(diff: GraphDiff) -> str:
    """`left_out_note` of one comparison."""
    return left_out_note(origins(diff))


def left_out_note(found: Origins | None) -> str:
    """Where features that the graphs left out carry much of the logit, how much; else nothing."""
    if found is None:
        return ""
    sides = tuple(zip("AB", found, strict=True))
    largest = max(abs(one.logit) for one in found)
    much = [(name, one) for name, one in sides if abs(one.left_out) > MUCH * largest]
    if not much:
        return ""
    told = " and ".join(f"{decimal(one.left_out)} of {decimal(one.logit)} logits in {name}" for name, one in much)
    return f"The features left out carry {told}: with them, other places may carry most."
