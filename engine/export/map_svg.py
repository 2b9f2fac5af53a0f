"""A Map as SVG: what the app draws when nothing is marked. Pure Python, no browser.

Without ids, so that several pictures fit into one page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from engine.export.elements import FONT, add_text, number
from engine.export.map_scene import LEFT, TOP, Bow, map_scene
from engine.export.map_split import draw_split
from engine.export.scene import BACKGROUND
from engine.export.shapes import Text, Theme, shortened, text_width, wrapped
from engine.export.texts import printable
from engine.figures import palette
from engine.figures.map_view import MapView
from engine.figures.names import visible

_MARGIN, _GAP, _HEAD, _LEGEND, _LINE, _KEY_LINE = 10.0, 14.0, 26.0, 26.0, 19.0, 17.0  # pixels
_LAYER_PX, _AROUND_PX, _ARCS_PX, _LEAST_PX = 13, 96, 62, 260
_SPARE = 1.16  # room for a key beyond the width that is only estimated: fonts differ
_SPLIT = 3 / 8  # of the width, beside where training acted


def map_svg(view: MapView, sentence: str = "", *, caption: str = "", theme: Theme = "light", width: int = 1280) -> str:
    """The whole picture: the maps, how they came about over training, a legend; `caption` and `sentence` above.

    `width`: pixels; deep models make it higher. It carries its own description for a screen reader.
    """
    colours = palette.GRAPH[theme]
    captions = wrapped(caption, (width - 2 * _MARGIN) / _SPARE, 14.5)
    lines = [*captions, *wrapped(sentence, width - 2 * _MARGIN, 14.5)]
    stage = max(_LEAST_PX, _LAYER_PX * len(view.rows) + _AROUND_PX + (_ARCS_PX if view.picture == "carried" else 0))
    top = _MARGIN + _LINE * len(lines) + (6 if lines else 0)
    legend = _legend(view, width - 2 * _MARGIN)
    height = top + _HEAD + stage + _LEGEND + _KEY_LINE * (len(legend) - 1)
    size = {"width": str(width), "height": number(height), "viewBox": f"0 0 {width} {number(height)}"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img", "font-family": FONT})
    ET.SubElement(root, "title").text = printable(f"{visible(view.words)}: {', '.join(view.frames[-1].titles)}")
    ET.SubElement(root, "desc").text = printable(view.description)
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": BACKGROUND[theme]})
    for place, line in enumerate(lines):
        y, bold = _MARGIN + 13 + place * _LINE, place < len(captions)
        add_text(root, Text(_MARGIN, y, line, 14.5, colours["text"], anchor="start", bold=bold))
    widths = _widths(view, width - 2 * _MARGIN)
    left = _MARGIN
    for place, wide in enumerate(widths):
        group = ET.SubElement(root, "g", {"transform": f"translate({number(left)} {number(top)})"})
        if place < len(view.panels):
            _draw_panel(group, view, place, wide, stage, colours)
        elif view.split is not None:
            draw_split(group, view.split, wide, stage + _HEAD, colours)
        left += wide + _GAP
    for place, keys in enumerate(reversed(legend)):
        y = height - _LEGEND / 2 - _KEY_LINE * place
        _draw_keys(ET.SubElement(root, "g", {"transform": f"translate({number(_MARGIN)} {number(y)})"}), keys, colours)
    return ET.tostring(root, encoding="unicode")


def panel_svg(view: MapView, place: int, *, alt: str, theme: Theme, width: int, height: int) -> str:
    """One of its maps alone, on whatever lies behind it; `alt`: what a screen reader says."""
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img", "font-family": FONT})
    ET.SubElement(root, "title").text = printable(alt)
    _draw_map(root, view, place, width, height, palette.GRAPH[theme], top=0)
    return ET.tostring(root, encoding="unicode")


def _widths(view: MapView, room: float) -> list[float]:
    if view.split is None:
        return [(room - _GAP * (len(view.panels) - 1)) / len(view.panels)] * len(view.panels)
    beside = _SPLIT * (room - _GAP)
    return [room - _GAP - beside, beside]


def _draw_panel(
    group: ET.Element, view: MapView, place: int, width: float, height: float, colours: dict[str, str]
) -> None:
    """With its title above."""
    facts = view.frames[-1].facts[place]
    room = width - text_width(facts, 12.5) - 20
    title = shortened(view.frames[-1].titles[place], max(12, int(room / 7.8)))
    add_text(group, Text(2, 16, title, 14.5, colours["text"], anchor="start", bold=True))
    add_text(group, Text(width - 2, 16, facts, 12.5, colours["muted"], anchor="end"))
    _draw_map(group, view, place, width, height, colours, top=_HEAD)


def _draw_map(
    group: ET.Element, view: MapView, place: int, width: float, height: float, colours: dict[str, str], *, top: float
) -> None:
    stage = ET.SubElement(group, "g", {"transform": f"translate(0 {number(top)})"})
    drawn = map_scene(view, place, width, height, colours)
    ground = {"x": number(LEFT), "y": number(TOP), "width": number(drawn.right - LEFT)}
    look = {"height": number(drawn.bottom - TOP), "fill": colours["grid"], "fill-opacity": "0.3", "rx": "4"}
    ET.SubElement(stage, "rect", ground | look)
    for y in drawn.lines:
        line = {"x1": number(LEFT), "x2": number(drawn.right), "y1": number(y), "y2": number(y)}
        ET.SubElement(stage, "line", line | {"stroke": colours["grid"]})
    for box in drawn.boxes:
        place_ = {"x": number(box.x), "y": number(box.y), "width": number(box.width), "height": number(box.height)}
        shown = {"rx": number(min(2.5, box.height / 2)), "fill": box.colour, "fill-opacity": number(box.opacity)}
        ET.SubElement(ET.SubElement(stage, "rect", place_ | shown), "title").text = printable(box.tooltip)
    for bow in drawn.bows:
        _draw_bow(stage, bow)
    for text in drawn.texts:
        add_text(stage, text)


def _draw_bow(stage: ET.Element, bow: Bow) -> None:
    """The arc, and the head that points to its word."""
    deep, low = number(bow.y + bow.depth), bow.y - 1 + bow.head
    path = f"M{number(bow.x1)} {number(bow.y)}C{number(bow.x1)} {deep} {number(bow.x2)} {deep} {number(bow.x2)} "
    line = {"fill": "none", "stroke": bow.colour, "stroke-opacity": "0.85", "stroke-linecap": "round"}
    look = {"d": path + number(bow.y + 0.8 * bow.head), "stroke-width": number(bow.width)}
    ET.SubElement(stage, "path", line | look)
    corners = ((bow.x2 - 0.65 * bow.head, low), (bow.x2, bow.y - 1), (bow.x2 + 0.65 * bow.head, low))
    points = " ".join(f"{number(x)},{number(y)}" for x, y in corners)
    ET.SubElement(stage, "polygon", {"points": points, "fill": bow.colour, "fill-opacity": "0.85"})


@dataclass(frozen=True)
class _Key:
    x: float
    colour: str  # a name, or nothing
    text: str


def _legend(view: MapView, width: float) -> list[list[_Key]]:
    """Lines of keys, then of what has to be known of the figures."""
    lines: list[list[_Key]] = [[]]
    x = 0.0
    for colour, text in map_keys(view):
        wide = (20 if colour else 0) + _SPARE * text_width(text, 12)
        if lines[-1] and x + wide > width:
            lines.append([])
            x = 0.0
        lines[-1].append(_Key(x, colour, text))
        x += wide + 14
    told = wrapped(" ".join(view.frames[-1].told), width / _SPARE, 12)
    return [*lines, *([_Key(0.0, "", line)] for line in told)]


def _draw_keys(group: ET.Element, keys: Sequence[_Key], colours: dict[str, str]) -> None:
    for key in keys:
        if key.colour:
            box = {"x": number(key.x), "y": "-4.5", "width": "13", "height": "9", "rx": "2"}
            ET.SubElement(group, "rect", box | {"fill": colours[key.colour]})
        left = key.x + (19 if key.colour else 0)
        add_text(group, Text(left, 4, key.text, 12, colours["muted"], anchor="start"))


def map_keys(view: MapView) -> list[tuple[str, str]]:
    """(name of a colour, or nothing; what it stands for)"""
    what, (place, move) = shortened(visible(view.words), 20), view.sizes()
    if view.picture == "acted":
        size = f"area: part of the change, in logits; {place}"
        ways = (
            (f"raised {what}", f"lowered {what}") if view.by_training else (f"{what} higher in B", f"{what} lower in B")
        )
        return [("gained", ways[0]), ("lost", ways[1]), ("", size)]
    if view.picture == "heads":
        size = f"area: effect; {place}"
        helps = [("positive", f"helps {what}"), ("negative", "works against it")]
        return [*helps, ("gained", "more in B"), ("lost", "less in B"), ("", size)]
    keys = [("positive", f"pushes {what} up"), ("negative", "pushes it down"), ("gained", "more in B")]
    keys += [("lost", "less in B"), ("", f"area: part of the logit; {place}")]
    moves = f"arcs: what moves from {view.unit} to {view.unit}; {move}"
    return [*keys, ("", moves)] if view.frames[-1].moves.any() else keys
