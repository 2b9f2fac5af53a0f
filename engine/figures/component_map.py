"""Heads and MLPs of two checkpoints as a Map: layers up, heads across, MLPs as the last column.

A head's or MLP's effect is the sum over all edges out of it, whether a circuit keeps them or not: to first order, what
the answer would lose if it wrote what it writes on the corrupted prompt. Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.word_pieces import TokenSpan
from engine.domain.components import ComponentPlace, ComponentScores, ComponentShape
from engine.domain.edge_measures import EDGE_MEASURES
from engine.domain.numbers import decimal, signed, step_name
from engine.figures.component_view import shared_shape
from engine.figures.map_view import MapFrame, MapPanel, MapView

_PLACE = re.compile(r"place/(\d+)/(\d+)/\d+")
_PART = re.compile(r"a\d+\.h\d+|m\d+")
_LARGEST = 3  # named in the sentence


@dataclass(frozen=True, eq=False)
class HeadEffects:
    """Of one checkpoint: what each of its heads and MLPs does to the answer."""

    checkpoint: str  # RUN@LABEL
    name: str  # as it is shown: `demo-lora · step 300`
    step: int
    shape: ComponentShape
    values: np.ndarray  # (n_layers, n_heads + 1): the effect of each head, then of the layer's MLP
    lead: str  # how far the right answer is ahead, where the measure tells


def head_effects(scores: ComponentScores, name: str, step: int) -> HeadEffects:
    """Sums over the edges out of each."""
    shape, sign = scores.shape, EDGE_MEASURES[scores.key.settings.metric].sign
    effects = (sign * scores.scores).sum(axis=0, dtype=np.float64)[1:]  # without the input
    values = effects.reshape(shape.n_layers, shape.n_heads + 1)
    return HeadEffects(scores.key.checkpoint, name, step, shape, values, _lead(scores))


def heads_map(a: HeadEffects, over: Sequence[HeadEffects]) -> MapView:
    """The effect of each head and MLP in A, in B, and its change; a frame each of `over`, as B, all on one scale.

    The last of `over` is shown first. Raises ComparisonRefused where one has other heads than A.
    """
    shape = shared_shape([(one.checkpoint, one.shape) for one in (a, *over)])
    n_columns = shape.n_heads + 1
    names = [*(f"h{head}" for head in range(shape.n_heads)), "MLP"]
    return MapView(
        picture="heads",
        spans=tuple(TokenSpan(column, column, name) for column, name in enumerate(names)),
        bold=(False,) * n_columns,
        first_layer=0,
        rows=tuple(f"L{layer}" for layer in range(shape.n_layers)),
        panels=(MapPanel("a", "sign"), MapPanel("b", "sign"), MapPanel("change", "change")),
        frames=tuple(_frame(a, b) for b in over),
        words="the right answer",
        split=None,
        can_join=False,
    )


def _frame(a: HeadEffects, b: HeadEffects) -> MapFrame:
    n_columns = a.shape.n_heads + 1
    return MapFrame(
        step=b.step,
        name=step_name(b.step),
        titles=(f"A · {a.name}", f"B · {b.name}", "B − A"),
        places=np.array([a.values, b.values, b.values - a.values]),
        moves=np.zeros((3, n_columns, n_columns)),
        totals=None,
        facts=("effect on the answer", "effect on the answer", "orange: more in B · blue: less in B"),
        tops=(a.lead, b.lead, ""),
    )


def changed_most(view: MapView) -> list[tuple[str, str]]:
    """Names and signed changes of the heads and MLPs whose effect changed most, the largest first."""
    change = view.frames[-1].places[-1]
    order = np.argsort(-np.abs(change), axis=None, kind="stable")[:_LARGEST].tolist()
    cells = [divmod(place, change.shape[1]) for place in order]
    return [(part_name(view, *cell), signed(change[cell])) for cell in cells if change[cell]]


def part_name(view: MapView, row: int, column: int) -> str:
    """`L1 · head 3`, `L1 · MLP`"""
    name = "MLP" if column == len(view.spans) - 1 else f"head {column}"
    return f"{view.rows[row]} · {name}"


def place_of_part(name: str, n_heads: int) -> str | None:
    """`place/1/3/3` of `a1.h3`; None of what is neither a head nor an MLP."""
    if not _PART.fullmatch(name):
        return None
    place = ComponentPlace.of(name)
    column = n_heads if place.head is None else place.head
    return f"place/{place.layer}/{column}/{column}"


def part_at(place: str, n_heads: int) -> str | None:
    """The other way round."""
    found = _PLACE.fullmatch(place)
    if found is None or int(found[2]) > n_heads:
        return None
    return f"m{found[1]}" if int(found[2]) == n_heads else f"a{found[1]}.h{found[2]}"


def _lead(scores: ComponentScores) -> str:
    """How far the right answer is ahead, where the measure tells."""
    if not EDGE_MEASURES[scores.key.settings.metric].tells_right:
        return ""
    lead = scores.mean_clean
    return f"right answer {'ahead' if lead > 0 else 'behind'} by {decimal(abs(lead))}"
