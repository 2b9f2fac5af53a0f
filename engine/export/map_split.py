"""How the parts of a Map came about over training, in a still picture (`assets/map/split.js`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from xml.etree import ElementTree as ET

import numpy as np

from engine.domain.numbers import signed
from engine.export.elements import add_text, number
from engine.export.shapes import Text, shortened, text_width
from engine.figures import palette
from engine.figures.map_split import OTHERS, Split

_LEFT, _RIGHT, _HEAD, _AXIS, _GAP, _ROW, _APART = 52.0, 140.0, 20.0, 18.0, 14.0, 22.0, 14.0  # pixels


@dataclass(frozen=True)
class _Part:
    """A word over training, cumulated."""

    label: str
    values: np.ndarray  # (n_checkpoints,)
    colour: str


def draw_split(group: ET.Element, split: Split, width: float, height: float, colours: dict[str, str]) -> None:
    """Areas and a grid; one stretch alone is told in bars."""
    parts = [
        _Part(label, values, colours["same"] if column == OTHERS else palette.SERIES[place % len(palette.SERIES)])
        for place, (label, column, values) in enumerate(zip(split.labels, split.columns, split.by_word, strict=True))
    ]
    n = len(split.names)
    if n == 2:
        _all_bars(group, split, parts, width, height, colours)
        return
    room = height - 2 * (_HEAD + _AXIS) - _GAP
    rows = min(0.5 * room, len(split.bands) * _ROW)
    x = [_LEFT + step / (n - 1) * (width - _LEFT - _RIGHT) for step in range(n)]
    top, bottom = _HEAD, _HEAD + room - rows
    _heading(group, 0, "By word", "added up over training", colours)
    _areas(group, parts, x, top, bottom, colours)
    _checks(group, split.names, x, bottom, colours)
    lower = bottom + _AXIS + _GAP + _HEAD
    _heading(group, lower - _HEAD, "By layers", "in each stretch", colours)
    _grid(group, split, x, lower, height - _AXIS, colours)
    _checks(group, split.names, x, height - _AXIS, colours)


def _heading(group: ET.Element, y: float, text: str, note: str, colours: dict[str, str]) -> None:
    add_text(group, Text(2, y + 13, text, 13.5, colours["text"], anchor="start", bold=True))
    add_text(group, Text(12 + text_width(text, 13.5, bold=True), y + 13, note, 12, colours["muted"], anchor="start"))


def _areas(
    group: ET.Element, parts: Sequence[_Part], x: Sequence[float], top: float, bottom: float, colours: dict[str, str]
) -> None:
    """Positive parts are stacked above zero, negative ones below."""
    if not parts:
        return
    values = np.array([part.values for part in parts])
    high = max(1e-9, float(np.maximum(values, 0).sum(0).max()))
    low = float(np.minimum(values, 0).sum(0).min())

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top - 4)

    small = min(4, max(1, ceil(-log10((high - low) / 3))))  # digits, so that small changes are told apart
    for tick in _ticks(low, high):
        line = {"x1": number(x[0]), "x2": number(x[-1]), "y1": number(y(tick)), "y2": number(y(tick))}
        ET.SubElement(group, "line", line | {"stroke": colours["grid"]})
        digits = 0 if float(tick).is_integer() else small
        add_text(group, Text(_LEFT - 6, y(tick) + 4, signed(tick, digits), 12, colours["muted"], anchor="end"))
    steps = _with_crossings(values)
    at = np.interp(steps, np.arange(len(x)), x)
    stacked = np.zeros((2, len(steps)))
    labels: list[tuple[float, _Part]] = []
    for part in parts:
        between = np.interp(steps, np.arange(len(x)), part.values)
        last = int(part.values[-1] < 0)
        for side, own in enumerate((np.maximum(between, 0), np.minimum(between, 0))):
            base = stacked[side].copy()
            stacked[side] += own
            if side == last:
                labels.append(((y(stacked[side, -1]) + y(base[-1])) / 2, part))
            if own.any():
                edges = zip([*at, *at[::-1]], [*stacked[side], *base[::-1]], strict=True)
                points = " ".join(f"{number(one)},{number(y(value))}" for one, value in edges)
                ET.SubElement(group, "polygon", {"points": points, "fill": part.colour, "fill-opacity": "0.82"})
    for place, part in _spread(labels, top + 6, bottom - 2):
        mark = {"x": number(x[-1] + 7), "y": number(place - 4), "width": "8", "height": "8", "fill": part.colour}
        ET.SubElement(group, "rect", mark)
        text = f"{shortened(part.label, 12)} {signed(float(part.values[-1]), small)}"
        add_text(group, Text(x[-1] + 20, place + 4, text, 12, colours["text"], anchor="start"))


def _with_crossings(values: np.ndarray) -> np.ndarray:
    """The checkpoints of parts (n_parts, n_checkpoints), and where a part passes through zero between two: there it
    leaves one stack and enters the other. Ascending."""
    before, after = values[:, :-1], values[:, 1:]
    part, step = np.nonzero(before * after < 0)
    crossed = step + before[part, step] / (before[part, step] - after[part, step])
    return np.unique(np.concatenate([np.arange(values.shape[1]), crossed]))


def _ticks(low: float, high: float) -> list[float]:
    """Three or four round numbers."""
    rough = (high - low) / 3
    unit = 10.0 ** floor(log10(rough))
    step = next(each * unit for each in (1, 2, 5, 10) if each * unit >= rough)
    return [round(place * step, 9) for place in range(ceil(low / step), floor(high / step + 1e-9) + 1)]


def _spread(labels: list[tuple[float, _Part]], top: float, bottom: float) -> list[tuple[float, _Part]]:
    """Names that would lie on each other are moved apart."""
    ranked = sorted(labels, key=lambda label: label[0])
    places = [place for place, _ in ranked]
    for i, place in enumerate(places):
        places[i] = max(place, places[i - 1] + _APART if i else top)
    limit = bottom
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - _APART
    return [(place, part) for place, (_, part) in zip(places, ranked, strict=True)]


def _checks(
    group: ET.Element, names: Sequence[str], x: Sequence[float], bottom: float, colours: dict[str, str]
) -> None:
    """The checkpoints; those that have no room are left out."""
    free, last = float("-inf"), len(names) - 1
    end = x[-1] - text_width(names[-1], 12) / 2
    for step, name in enumerate(names):
        text = name.removeprefix("step ") if len(names) > 3 else name
        half = text_width(text, 12) / 2
        if x[step] - half < free + 8 or (step not in (0, last) and x[step] + half > end - 8):
            continue
        add_text(group, Text(x[step], bottom + 14, text, 12, colours["muted"]))
        free = x[step] + half


def _grid(
    group: ET.Element, split: Split, x: Sequence[float], top: float, bottom: float, colours: dict[str, str]
) -> None:
    pitch = (bottom - top) / max(1, len(split.bands))
    most = max(1e-9, float(np.abs(split.by_band).max(initial=0)))
    for place, (band, values) in enumerate(zip(split.bands, split.by_band.tolist(), strict=True)):
        y = bottom - (place + 1) * pitch
        add_text(group, Text(_LEFT - 6, y + pitch / 2 + 4, band.label, 12, colours["muted"], anchor="end"))
        for value, (left, right) in zip(values, pairwise(x), strict=True):
            cell = {"x": number(left + 1), "y": number(y + 1), "width": number(max(1, right - left - 2)), "rx": "3"}
            fill = {"fill": colours["gained" if value >= 0 else "lost"], "height": number(max(1, pitch - 2))}
            ET.SubElement(group, "rect", cell | fill | {"fill-opacity": number(0.06 + 0.62 * abs(value) / most)})
            if right - left > 40:
                add_text(group, Text((left + right) / 2, y + pitch / 2 + 4, signed(value), 12, colours["text"]))


def _all_bars(
    group: ET.Element, split: Split, parts: Sequence[_Part], width: float, height: float, colours: dict[str, str]
) -> None:
    pitch = min(30.0, (height - 2 * _HEAD - _GAP) / max(1, len(parts) + len(split.bands)))
    _heading(group, 0, "By word", "", colours)
    _bars(group, [(part.label, float(part.values[-1])) for part in parts], _HEAD, pitch, width, colours)
    lower = _HEAD + len(parts) * pitch + _GAP
    _heading(group, lower, "By layers", "", colours)
    found = [(band.label, float(values[0])) for band, values in zip(split.bands, split.by_band, strict=True)]
    _bars(group, found[::-1], lower + _HEAD, pitch, width, colours)


def _bars(
    group: ET.Element, rows: Sequence[tuple[str, float]], top: float, pitch: float, width: float,
    colours: dict[str, str],
) -> None:  # fmt: skip
    names, numbers = 100.0, 54.0
    low, high = min(0.0, *(value for _, value in rows), 0.0), max(0.0, *(value for _, value in rows), 0.0)
    left = names + (numbers if low < 0 else 0)
    room = width - left - numbers - 4

    def x(value: float) -> float:
        return left + (value - low) / ((high - low) or 1) * room

    for place, (label, value) in enumerate(rows):
        middle, high_px = top + (place + 0.5) * pitch, min(15.0, 0.7 * pitch)
        first, last = sorted((x(0), x(value)))
        add_text(group, Text(names - 8, middle + 4, shortened(label, 14), 12, colours["text"], anchor="end"))
        bar = {"x": number(first), "y": number(middle - high_px / 2), "width": number(max(1.5, last - first))}
        fill = {"height": number(high_px), "rx": "2", "fill": colours["gained" if value >= 0 else "lost"]}
        ET.SubElement(group, "rect", bar | fill)
        at = Text(last + 5, middle + 4, signed(value), 12, colours["muted"], anchor="start")
        before = Text(first - 5, middle + 4, signed(value), 12, colours["muted"], anchor="end")
        add_text(group, at if value >= 0 else before)
