"""Where everything of one map stands in a still picture: the geometry of the app's (`assets/map/scene.js`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, radians, sin, sqrt

import numpy as np

from engine.domain.numbers import signed
from engine.export.shapes import Text, shortened, text_width
from engine.figures.map_view import LEAST_MARK, MapFrame, MapPanel, MapView, seen_moves
from engine.figures.names import visible

LEFT, RIGHT, TOP, SIZE = 38.0, 14.0, 22.0, 12.0  # pixels; of texts
_APART = 13.0  # between two names
_ARCS_PX, _MOST_ARC = 62.0, 7.0
_MOST_W, _MOST_H, _NAME_LIMIT, _MERE_SIGN = 64.0, 26.0, 14, 0.1
_TILTS = ((19.0, -40.0), (16.0, -55.0), (0.0, -90.0))  # a column at least so wide: its name is turned so far
_EVERY = (1, 2, 5, 10, 20, 50)
_COLORS = {"sign": ("positive", "negative"), "change": ("gained", "lost")}


@dataclass(frozen=True)
class MarkBox:
    """A mark: a place's value."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    opacity: float
    tooltip: str


@dataclass(frozen=True)
class Bow:
    """What moves from a word to another: an arc below the words."""

    x1: float
    x2: float
    y: float
    depth: float
    colour: str
    width: float

    @property
    def head(self) -> float:
        """How high its point is."""
        return 5 + 0.8 * self.width


@dataclass(frozen=True)
class MapScene:
    """One map in `width` x `height` pixels."""

    right: float
    bottom: float  # of the plot
    lines: tuple[float, ...]  # y
    texts: tuple[Text, ...]
    boxes: tuple[MarkBox, ...]
    bows: tuple[Bow, ...]  # the thinnest first


def map_scene(view: MapView, number: int, width: float, height: float, colours: dict[str, str]) -> MapScene:
    """Panel `number` of the last frame."""
    frame = view.frames[-1]
    pitch_x = (width - LEFT - RIGHT) / len(view.spans)
    x = [LEFT + (column + 0.5) * pitch_x for column in range(len(view.spans))]
    turn, names = _names(view, frame, x, pitch_x)
    below = _below(names, turn)
    arcs = _ARCS_PX if frame.moves.any() else 0.0
    bottom = height - below - arcs - 4
    pitch_y = (bottom - TOP) / len(view.rows)
    y = [bottom - (row + 0.5) * pitch_y for row in range(len(view.rows))]
    rows = _named_rows(view, y, pitch_y)
    texts = [Text(LEFT - 6, y[row] + 4, view.rows[row], SIZE, colours["muted"], anchor="end") for row in rows]
    for column, name in names.items():
        bold = view.bold[column]
        here = (x[column] + 4, bottom + 11) if turn else (x[column], bottom + 14)
        anchor = "end" if turn else "middle"
        colour = colours["ring" if bold else "text"]
        texts.append(Text(*here, name, SIZE, colour, anchor=anchor, bold=bold, turned=turn))  # type: ignore[arg-type]
    texts += _tops(frame, number, x, pitch_x, width, colours)
    return MapScene(
        right=width - RIGHT,
        bottom=bottom,
        lines=tuple(y[row] for row in rows),
        texts=tuple(texts),
        boxes=tuple(_boxes(view, frame, number, x, y, (pitch_x, pitch_y), colours)),
        bows=tuple(_bows(view, frame, number, x, bottom + below + 3, arcs, colours)),
    )


def value_colour(panel: MapPanel, value: float, colours: dict[str, str]) -> str:
    """Green pushes up and purple down; orange is more and blue less."""
    return colours[_COLORS[panel.colors][0 if value > 0 else 1]]


def _boxes(
    view: MapView, frame: MapFrame, number: int, x: Sequence[float], y: Sequence[float], pitch: tuple[float, float],
    colours: dict[str, str],
) -> list[MarkBox]:  # fmt: skip
    largest, found = view.largest[0], []
    most = min(_MOST_W, 0.92 * pitch[0]), min(_MOST_H, max(2.5, 0.86 * pitch[1]))
    for row, column in zip(*np.nonzero(np.abs(frame.places[number]) >= LEAST_MARK * largest), strict=True):
        value = float(frame.places[number, row, column])
        size = sqrt(min(1.0, abs(value) / largest))
        w, h = max(min(2.4, 0.35 * pitch[0]), most[0] * size), max(min(2.0, most[1]), most[1] * size)
        name = f"{view.place_name(int(row), int(column))}: {signed(value)}"
        box = (x[column] - w / 2, y[row] - h / 2, w, h)
        found.append(MarkBox(*box, value_colour(view.panels[number], value, colours), 0.4 + 0.6 * size, name))
    return found


def _bows(
    view: MapView, frame: MapFrame, number: int, x: Sequence[float], y: float, arcs: float, colours: dict[str, str]
) -> list[Bow]:
    largest, found = view.largest[1], []
    for target, source in zip(*np.nonzero(seen_moves(frame, largest)[number]), strict=True):
        value = float(frame.moves[number, target, source])
        far = abs(int(target) - int(source)) / max(1, len(x) - 1)
        depth = (arcs - 8) * (0.3 + 0.7 * sqrt(far)) * 1.3
        colour = value_colour(view.panels[number], value, colours)
        found.append(Bow(x[source], x[target], y, depth, colour, max(1.0, _MOST_ARC * abs(value) / largest)))
    return sorted(found, key=lambda bow: bow.width)


def _named_rows(view: MapView, y: Sequence[float], pitch: float) -> list[int]:
    every = next((step for step in _EVERY if step * pitch >= _APART), 100)
    layers = [row for row, name in enumerate(view.rows) if name.startswith("L")]
    ends = [row for row in range(len(view.rows)) if row not in layers]
    regular = [row for row in layers if (row + view.first_layer) % every == 0]
    return _apart([*ends, layers[-1], *regular], y, _APART - 1)


def _apart(ranked: Sequence[int], places: Sequence[float], least: float) -> list[int]:
    """Those that keep their distance, the first ones first."""
    taken: list[int] = []
    for one in ranked:
        if all(abs(places[one] - places[other]) >= least for other in taken):
            taken.append(one)
    return taken


def _names(view: MapView, frame: MapFrame, x: Sequence[float], pitch: float) -> tuple[float, dict[int, str]]:
    """How far the words' names are turned, and the names of those that have room, by column."""
    texts = [shortened(visible(span.text), _NAME_LIMIT) for span in view.spans]
    widths = [text_width(text, SIZE, bold=bold) for text, bold in zip(texts, view.bold, strict=True)]
    if all((one + other) / 2 + 7 <= pitch for one, other in pairwise(widths)) and widths[0] / 2 <= x[0]:
        return 0.0, dict(enumerate(texts))
    turn = next(turn for least, turn in _TILTS if pitch >= least)
    of_place, of_move = view.largest
    moves = np.where(seen_moves(frame, of_move)[-1], np.abs(frame.moves[-1]), 0.0)
    size = np.maximum(np.abs(frame.places[-1]).max(0) / of_place, np.maximum(moves.max(0), moves.max(1)) / of_move)
    mere = np.array([not any(map(str.isalnum, span.text)) for span in view.spans])
    size = size - _MERE_SIGN * mere + np.array(view.bold) * 2.0 + (np.arange(len(x)) == len(x) - 1)
    ranked = np.argsort(-size, kind="stable").tolist()
    shown = {}
    for column in sorted(_apart(ranked, x, _APART)):
        room = 90.0 if turn == -90 else (x[column] + 4) / cos(radians(turn))
        shown[column] = _fitted(texts[column], room)
    return turn, shown


def _fitted(text: str, room: float) -> str:
    shown, limit = text, len(text)
    while limit > 2 and text_width(shown, SIZE) > room:
        limit -= 1
        shown = shortened(text, limit)
    return shown


def _below(names: dict[int, str], turn: float) -> float:
    """The room that names take below the plot."""
    if not turn:
        return 19.0
    return max((text_width(name, SIZE) for name in names.values()), default=0.0) * sin(radians(-turn)) + 14


def _tops(
    frame: MapFrame, number: int, x: Sequence[float], pitch: float, width: float, colours: dict[str, str]
) -> list[Text]:
    if frame.totals is None:
        return [Text(width - RIGHT, 15, frame.tops[number], SIZE, colours["text"], anchor="end", bold=True)]
    ranked = np.argsort(-np.abs(frame.totals), kind="stable").tolist()
    least = 0.01 * abs(float(frame.totals[ranked[0]]))
    worth = [column for column in ranked if abs(float(frame.totals[column])) >= least and frame.totals[column]]
    return [
        Text(min(x[column], width - 18), 15, _total(frame, column, pitch), SIZE, colours["muted"])
        for column in _apart(worth, x, 36)
    ]


def _total(frame: MapFrame, column: int, pitch: float) -> str:
    """With the interval of a mean, where it has room."""
    assert frame.totals is not None  # asked for
    value = float(frame.totals[column])
    alone = signed(value, 1 if abs(value) >= 0.95 else 2)
    spread = frame.spreads[column] if frame.spreads else ""
    whole = f"{alone} ({spread})"
    return whole if spread and text_width(whole, SIZE) + 8 <= pitch else alone
