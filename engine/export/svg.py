"""A view of the graphs as SVG: what the app draws when nothing is hovered or selected. Pure Python, no browser.

Written through an XML tree, so that no text of a user's can become markup; without ids, so that several pictures fit
into one page.
"""

import math
from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree as ET

from engine.domain.feature_names import FeatureNames
from engine.export.elements import FONT, add_text, number
from engine.export.scene import BACKGROUND, alternative, least_height, panel
from engine.export.shapes import Arc, Bar, Mark, Panel, Side, Text, Theme, shortened, text_width, wrapped
from engine.figures import palette
from engine.figures.graph_view import GraphView

_GAP, _MARGIN, _HEAD, _BARS, _LEGEND, _NOTE = 16, 8, 26, 30, 26, 17  # pixels

_SIDE_KEYS = (
    ("circle", "outline", "feature"),
    ("square", "outline", "token, output"),
    ("diamond", "same", "error"),
    ("line", "positive", "pushes up"),
    ("line", "negative", "pushes down"),
    ("circle", "lost", "less in B, or only in A"),
    ("circle", "gained", "more in B, or only in B"),
    ("ghost", "same", "only in the other graph"),
)
_OVERLAY_KEYS = (
    *_SIDE_KEYS[:3],
    ("line", "gained", "more in B"),
    ("line", "lost", "less in B"),
    ("line", "flipped", "opposite sign"),
)


def graph_svg(
    view: GraphView,
    *,
    side: Side | Literal["pair"] = "pair",
    theme: Theme = "light",
    width: int = 1280,
    height: int = 440,
    names: FeatureNames | None = None,
) -> str:
    """The two graphs beside each other, one of them, or what differs; title, probabilities and legend included.

    `width`, `height`: of the whole, in pixels; where rows would touch it is higher. `names`: labels and groups,
    shown as in the app.
    The picture carries its own description for a screen reader.
    """
    colours = palette.GRAPH[theme]
    sides: tuple[Side, ...] = ("a", "b") if side == "pair" else (side,)
    inner = (width - 2 * _MARGIN - _GAP * (len(sides) - 1)) / len(sides)
    strip = _BARS * (2 if side == "overlay" else 1)  # which shows the probabilities of both
    told = wrapped(" ".join(view.notes), width - 2 * _MARGIN - 8, 12)
    legend_px = _LEGEND + _NOTE * len(told)
    around = _MARGIN + _HEAD + strip + legend_px
    stage = max(height - around, math.ceil(least_height(view)))
    height = stage + around
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(width),
            "height": str(height),
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "font-family": FONT,
        },
    )
    ET.SubElement(root, "title").text = _title(side)
    ET.SubElement(root, "desc").text = alternative(view, side)
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": BACKGROUND[theme]})
    panels = [panel(view, one, theme=theme, width=inner, height=stage, names=names) for one in sides]
    for place, drawn in enumerate(panels):
        left = _MARGIN + place * (inner + _GAP)
        group = ET.SubElement(root, "g", {"transform": f"translate({left:.1f} {_MARGIN})"})
        _draw_panel(group, drawn, theme)
    legend = ET.SubElement(root, "g", {"transform": f"translate({_MARGIN + 4} {height - legend_px + _LEGEND / 2})"})
    keys = _OVERLAY_KEYS if side == "overlay" else _SIDE_KEYS
    if any(text.italic for one in panels for text in one.texts):
        keys = (*keys, ("italic", "muted", "active on → promotes: automatic"))
    _draw_legend(legend, keys, colours, width - 2 * _MARGIN)
    for place, line in enumerate(told, start=1):
        add_text(legend, Text(0, 4 + _NOTE * place, line, 12, colours["muted"], anchor="start"))
    return ET.tostring(root, encoding="unicode")


def _title(side: Side | Literal["pair"]) -> str:
    if side == "pair":
        return "Two attribution graphs beside each other"
    return "The difference between two attribution graphs" if side == "overlay" else f"Attribution graph {side.upper()}"


def _draw_panel(group: ET.Element, drawn: Panel, theme: Theme) -> None:
    colours = palette.GRAPH[theme]
    facts = f"{drawn.facts}   ⚠ low" if drawn.warning else drawn.facts
    room = drawn.width - text_width(facts, 12.5) - 24
    title = shortened(drawn.title, max(12, int(room / 7.8)))
    add_text(group, Text(2, 16, title, 14.5, colours["text"], anchor="start", bold=True))
    warned = colours["gained"] if drawn.warning else colours["muted"]
    add_text(group, Text(drawn.width - 2, 16, facts, 12.5, warned, anchor="end"))
    stage = ET.SubElement(group, "g", {"transform": f"translate(0 {_HEAD + _BARS * len(drawn.bars)})"})
    for y in drawn.rows:
        line = {"x1": "36", "x2": number(drawn.width - 6), "y1": number(y), "y2": number(y), "stroke": colours["grid"]}
        ET.SubElement(stage, "line", line)
    edges = ET.SubElement(stage, "g", {"fill": "none", "stroke-linecap": "round", "stroke-opacity": "0.55"})
    for arc in reversed(drawn.arcs):  # the weakest first, so that the strongest lie on top
        _draw_arc(edges, arc)
    for halo in drawn.halos:
        circle = {
            "cx": number(halo.x),
            "cy": number(halo.y),
            "r": number(halo.r),
            "fill": halo.colour,
            "fill-opacity": "0.32",
        }
        ET.SubElement(stage, "circle", circle)
    for mark in drawn.marks:
        _draw_mark(stage, mark)
        if mark.name:
            name = shortened(mark.name, max(3, int((2 * mark.half - 8) / 5.6)))
            add_text(stage, Text(mark.x, mark.y + 4, name, 11, colours["text"], bold=True))
    for text in drawn.texts:
        add_text(stage, text)
    _draw_bars(ET.SubElement(group, "g", {"transform": f"translate(0 {_HEAD})"}), drawn, theme)


def _draw_arc(group: ET.Element, arc: Arc) -> None:
    bend = (arc.y1 - arc.y2) * 0.5
    x1, x2 = number(arc.x1), number(arc.x2)
    path = f"M{x1} {number(arc.y1)}C{x1} {number(arc.y1 - bend)} {x2} {number(arc.y2 + bend)} {x2} {number(arc.y2)}"
    ET.SubElement(group, "path", {"d": path, "stroke": arc.colour, "stroke-width": number(arc.width * 0.85)})


def _draw_mark(group: ET.Element, mark: Mark) -> None:
    """One node, with its tooltip as a title."""
    x, y, r = mark.x, mark.y, mark.r
    look = {"fill": mark.fill, "stroke": mark.stroke, "stroke-width": number(mark.stroke_width)}
    if mark.dashed:
        look |= {"stroke-dasharray": "1.5 1.5", "fill": "none"}
    if mark.shape == "circle":
        node = ET.SubElement(group, "circle", {"cx": number(x), "cy": number(y), "r": number(r)} | look)
    elif mark.shape in ("square", "box"):
        half = mark.half or r
        box = {"x": number(x - half), "y": number(y - r), "width": number(2 * half), "height": number(2 * r)}
        node = ET.SubElement(group, "rect", box | look | ({"rx": "5"} if mark.shape == "box" else {}))
    else:
        d = 1.25 * r
        corners = ((x, y - d), (x + d, y), (x, y + d), (x - d, y))
        points = " ".join(f"{number(px)},{number(py)}" for px, py in corners)
        node = ET.SubElement(group, "polygon", {"points": points} | look)
    if mark.tooltip:
        ET.SubElement(node, "title").text = mark.tooltip


def _draw_bars(group: ET.Element, drawn: Panel, theme: Theme) -> None:
    """The likeliest outputs over the whole width; in the overlay those of A, and below them those of B."""
    colours = palette.GRAPH[theme]
    for place, bars in enumerate(drawn.bars):
        row = ET.SubElement(group, "g", {"transform": f"translate(0 {place * _BARS})"})
        left = 4.0
        if len(drawn.bars) > 1:
            add_text(row, Text(left, 18, "AB"[place], 13, colours["text"], anchor="start", bold=True))
            left = 36.0
        _draw_bar_list(row, bars, left, drawn.width - left, colours)
    y = number(_BARS * len(drawn.bars) - 2.5)
    ET.SubElement(group, "line", {"x1": "0", "x2": number(drawn.width), "y1": y, "y2": y, "stroke": colours["grid"]})


def _draw_bar_list(group: ET.Element, bars: Sequence[Bar], left: float, width: float, colours: dict[str, str]) -> None:
    pitch = width / max(len(bars), 1)
    track = pitch - 12
    likeliest = max((bar for bar in bars if not bar.others), key=lambda bar: bar.p, default=None)
    for place, bar in enumerate(bars):
        x, bold = left + place * pitch, bar is likeliest
        colour = colours["muted" if bar.others else "text"]
        token = shortened(bar.token, max(2, int((track - 30) / 6.8)))
        add_text(group, Text(x, 14, token, 12, colour, anchor="start", bold=bold))
        add_text(group, Text(x + track, 14, f"{bar.p:.2f}", 11.5, colours["muted"], anchor="end", bold=bold))
        look = {"x": number(x), "y": "18.5", "height": "4.5", "rx": "1"}
        fill = colours["answer" if bar.answer else "other"]
        ET.SubElement(group, "rect", look | {"width": number(track), "fill": colours["grid"]})
        ET.SubElement(group, "rect", look | {"width": number(max(1.5, track * bar.p)), "fill": fill})


def _draw_legend(
    group: ET.Element, keys: tuple[tuple[str, str, str], ...], colours: dict[str, str], width: float
) -> None:
    x = 0.0
    for shape, colour, text in keys:
        end = x + 24 + text_width(text, 12)
        if end > width:
            break  # a narrow picture leaves out the last keys
        if shape == "italic":
            add_text(group, Text(x, 4, text, 12, colours[colour], anchor="start", italic=True))
            x = end
            continue
        if shape == "line":
            ET.SubElement(
                group, "rect", {"x": number(x), "y": "-1.2", "width": "15", "height": "2.5", "fill": colours[colour]}
            )
        else:
            ringed = colour in ("lost", "gained")
            _draw_mark(
                group,
                Mark(
                    id="", shape="circle" if shape == "ghost" else shape, x=x + 7, y=0, r=4.5, fill="none",  # type: ignore[arg-type]  # the literal of the keys above
                    stroke=colours[colour], stroke_width=2.0 if ringed else 1.2, dashed=shape == "ghost", tooltip="",
                ),
            )  # fmt: skip
        add_text(group, Text(x + 20, 4, text, 12, colours["muted"], anchor="start"))
        x = end + 10
