"""Automatic labels in a still picture: in the nearest free place, with a line to the node where that is not beside it.

The same choices as the app's canvas (`assets/graph/labels.js`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from engine.domain.feature_names import SHORT
from engine.export.shapes import Mark, Text, shortened, text_width
from engine.export.texts import printable

_PX = 11.0
_LABEL_PX = 75  # of the picture's width for each label
_SPARE = 1.12  # room beyond the width that is only estimated: fonts differ
_TRIES = 3  # nodes for each label that are tried: many stand where no place is free
_LEFT = 36  # what stands there names the layers
_SHIFTS = (0, -15, 15, -30, 30, -45, 45)  # pixels down
_STEP, _MOST_STEPS = 24, 4  # … and further to the side


class Box(NamedTuple):
    left: float
    top: float
    width: float
    height: float = 14.0

    def meets(self, other: "Box", apart: float = 4) -> bool:
        """Whether they are nearer to each other than so many pixels to the side, or one lies on the other."""
        beside = self.left >= other.left + other.width + apart or other.left >= self.left + self.width + apart
        return not (beside or self.top >= other.top + other.height or other.top >= self.top + self.height)


class Wanted(NamedTuple):
    """A label, and how much its node matters: the largest first."""

    mark: Mark
    label: str
    size: float


def callouts(
    wanted: Sequence[Wanted],
    marks: Sequence[Mark],
    taken: list[Box],
    *,
    width: float,
    levels: Sequence[float],
    colour: str,
    backed: str,
) -> Iterator[Text]:
    """`levels`: y of the layers' lines; labels stand between outputs and tokens. What finds no place is left out."""
    nodes = [(mark, node_box(mark)) for mark in marks]
    highest, lowest = min(levels) + 8, max(levels) - 8
    most = round(width / _LABEL_PX)
    full = len(taken) + most
    for mark, label, _ in sorted(wanted, key=lambda one: -one.size)[: _TRIES * most]:
        if len(taken) >= full:
            return
        shown = shortened(printable(label), SHORT)
        free = _free(nodes, taken, mark, (_LEFT, width - 2), (highest, lowest))
        wide = _SPARE * text_width(shown, _PX)
        found = next((place for place in _around(mark, wide) if free(place[1])), None)
        if found is None:
            continue
        far, box = found
        taken.append(box)
        yield Text(
            box.left, box.top + 11, shown, _PX, colour, anchor="start", italic=True, backed=backed,
            leader=_leader(mark, box) if far else None,
        )  # fmt: skip


def node_box(mark: Mark) -> Box:
    """What a node covers."""
    half = mark.half or mark.r
    return Box(mark.x - half, mark.y - mark.r, 2 * half, 2 * mark.r)


def _free(
    nodes: Sequence[tuple[Mark, Box]],
    taken: Sequence[Box],
    own: Mark,
    across: tuple[float, float],
    down: tuple[float, float],
) -> Callable[[Box], bool]:
    def free(box: Box) -> bool:
        if not (across[0] <= box.left and box.left + box.width <= across[1]):
            return False
        if not (down[0] <= box.top and box.top + box.height <= down[1]):
            return False
        on_node = any(mark is not own and box.meets(other, 0) for mark, other in nodes)
        return not on_node and not any(map(box.meets, taken))

    return free


def _around(mark: Mark, width: float) -> list[tuple[float, Box]]:
    """How far it is, and the place; the nearest first."""
    places = []
    for step in range(_MOST_STEPS + 1):
        for down in _SHIFTS:
            aside, top = step * _STEP, mark.y - 7 + down
            for left in (mark.x + mark.r + 4 + aside, mark.x - mark.r - 4 - aside - width):
                places.append((aside + 1.5 * abs(down), Box(left, top, width)))
    return sorted(places, key=lambda place: place[0])


def _leader(mark: Mark, box: Box) -> tuple[float, float, float, float]:
    """From the node's outline to the near end of the text."""
    x = box.left - 2 if box.left > mark.x else box.left + box.width / _SPARE + 2
    y = box.top + 7
    length = math.hypot(x - mark.x, y - mark.y)
    share = mark.r / length
    return mark.x + (x - mark.x) * share, mark.y + (y - mark.y) * share, x, y
