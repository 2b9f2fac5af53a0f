"""A view of the graphs as SVG: what the app draws when nothing is hovered or selected. Pure Python, no browser.

Written through an XML tree, so that no text of a user's can become markup; without ids, so that several pictures fit
into one page.
"""

from typing import Literal
from xml.etree import ElementTree as ET

from engine.export.scene import (
    BACKGROUND,
    Arc,
    Mark,
    Panel,
    Side,
    Text,
    Theme,
    alternative,
    panel,
    shortened,
    text_width,
)
from engine.figures import palette
from engine.figures.graph_view import GraphView

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
_GAP, _MARGIN, _HEAD, _LEGEND = 16, 8, 26, 26  # pixels
_BAR_PX, _BAR_ROW, _BAR_TOKEN = 84, 16, 60
_BARS_LEFT, _BAR_LIST = 44, 200  # where the first list of probabilities begins, and how far the next is

_SIDE_KEYS = (
    ("circle", "outline", "feature"),
    ("square", "outline", "token, output"),
    ("diamond", "same", "unexplained"),
    ("line", "positive", "pushes up"),
    ("line", "negative", "pushes down"),
    ("circle", "lost", "less or none in B"),
    ("circle", "gained", "more or only in B"),
    ("ghost", "same", "on the other side"),
)
_OVERLAY_KEYS = (
    *_SIDE_KEYS[:3],
    ("line", "gained", "more in B"),
    ("line", "lost", "less in B"),
    ("line", "flipped", "sign turned"),
)


def graph_svg(
    view: GraphView,
    *,
    side: Side | Literal["pair"] = "pair",
    theme: Theme = "light",
    width: int = 1280,
    height: int = 420,
) -> str:
    """The two graphs beside each other, one of them, or what differs; title, probabilities and legend included.

    `width`, `height`: of the whole, in pixels. The picture carries its own description for a screen reader.
    """
    colours = palette.GRAPH[theme]
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(width),
            "height": str(height),
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "font-family": _FONT,
        },
    )
    ET.SubElement(root, "title").text = _title(side)
    ET.SubElement(root, "desc").text = alternative(view, side)
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": BACKGROUND[theme]})
    sides: tuple[Side, ...] = ("a", "b") if side == "pair" else (side,)
    inner = (width - 2 * _MARGIN - _GAP * (len(sides) - 1)) / len(sides)
    stage = height - _MARGIN - _HEAD - _LEGEND
    drawn = [panel(view, one, theme=theme, width=inner, height=stage) for one in sides]
    strip = max(map(_bars_height, drawn)) if any(map(_bars_in_the_way, drawn)) else 0
    if strip:
        drawn = [panel(view, one, theme=theme, width=inner, height=stage - strip) for one in sides]
    for place, one_panel in enumerate(drawn):
        left = _MARGIN + place * (inner + _GAP)
        group = ET.SubElement(root, "g", {"transform": f"translate({left:.1f} {_MARGIN})"})
        _draw_panel(group, one_panel, theme, strip)
    legend = ET.SubElement(root, "g", {"transform": f"translate({_MARGIN + 4} {height - _LEGEND / 2})"})
    _draw_legend(legend, _OVERLAY_KEYS if side == "overlay" else _SIDE_KEYS, colours, width - 2 * _MARGIN)
    return ET.tostring(root, encoding="unicode")


def _title(side: Side | Literal["pair"]) -> str:
    if side == "pair":
        return "Two attribution graphs beside each other"
    return "What differs between two attribution graphs" if side == "overlay" else f"Attribution graph {side.upper()}"


def _draw_panel(group: ET.Element, drawn: Panel, theme: Theme, strip: float) -> None:
    """`strip`: room above the graph for the probabilities; 0 where they lie beside the outputs."""
    colours = palette.GRAPH[theme]
    facts = f"{drawn.facts}   ⚠ low fit" if drawn.warning else drawn.facts
    room = drawn.width - text_width(facts, 12.5) - 24
    title = shortened(drawn.title, max(12, int(room / 7.8)))
    _text(group, Text(2, 16, title, 14.5, colours["text"], anchor="start", bold=True))
    warned = colours["gained"] if drawn.warning else colours["muted"]
    _text(group, Text(drawn.width - 2, 16, facts, 12.5, warned, anchor="end"))
    stage = ET.SubElement(group, "g", {"transform": f"translate(0 {_HEAD + strip})"})
    for y in drawn.rows:
        line = {"x1": "36", "x2": _n(drawn.width - 6), "y1": _n(y), "y2": _n(y), "stroke": colours["grid"]}
        ET.SubElement(stage, "line", line)
    edges = ET.SubElement(stage, "g", {"fill": "none", "stroke-linecap": "round", "stroke-opacity": "0.55"})
    for arc in reversed(drawn.arcs):  # the weakest first, so that the strongest lie on top
        _draw_arc(edges, arc)
    for mark in drawn.marks:
        _draw_mark(stage, mark)
    for text in drawn.texts:
        _text(stage, text)
    _draw_bars(ET.SubElement(group, "g", {"transform": f"translate(0 {_HEAD})"}), drawn, theme)


def _draw_arc(group: ET.Element, arc: Arc) -> None:
    bend = (arc.y1 - arc.y2) * 0.5
    path = f"M{_n(arc.x1)} {_n(arc.y1)}C{_n(arc.x1)} {_n(arc.y1 - bend)} {_n(arc.x2)} {_n(arc.y2 + bend)} "
    path += f"{_n(arc.x2)} {_n(arc.y2)}"
    ET.SubElement(group, "path", {"d": path, "stroke": arc.colour, "stroke-width": _n(arc.width * 0.85)})


def _draw_mark(group: ET.Element, mark: Mark) -> None:
    """One node, with its tooltip as a title."""
    x, y, r = mark.x, mark.y, mark.r
    look = {"fill": mark.fill, "stroke": mark.stroke, "stroke-width": _n(mark.stroke_width)}
    if mark.dashed:
        look |= {"stroke-dasharray": "1.5 1.5", "fill": "none"}
    if mark.shape == "circle":
        node = ET.SubElement(group, "circle", {"cx": _n(x), "cy": _n(y), "r": _n(r)} | look)
    elif mark.shape in ("square", "box"):
        half = 1.5 * r if mark.shape == "box" else r
        box = {"x": _n(x - half), "y": _n(y - r), "width": _n(2 * half), "height": _n(2 * r)}
        node = ET.SubElement(group, "rect", box | look | ({"rx": "3"} if mark.shape == "box" else {}))
    else:
        d = 1.25 * r
        points = f"{_n(x)},{_n(y - d)} {_n(x + d)},{_n(y)} {_n(x)},{_n(y + d)} {_n(x - d)},{_n(y)}"
        node = ET.SubElement(group, "polygon", {"points": points} | look)
    if mark.tooltip:
        ET.SubElement(node, "title").text = mark.tooltip


def _bars_height(drawn: Panel) -> float:
    """The stage has room of its own above the outputs, which the last row may use."""
    return _BAR_ROW * (max(map(len, drawn.bars), default=0) + (len(drawn.bars) > 1)) - 8


def _bars_in_the_way(drawn: Panel) -> bool:
    """Would the probabilities, top left, lie on the outputs, top right?"""
    top = min(drawn.rows, default=0)
    outputs = [mark.x for mark in drawn.marks if abs(mark.y - top) < 1]
    return _BARS_LEFT + _BAR_LIST * len(drawn.bars) > min(outputs, default=drawn.width) - 30


def _draw_bars(group: ET.Element, drawn: Panel, theme: Theme) -> None:
    """The likeliest outputs; in the overlay those of A, then those of B."""
    colours = palette.GRAPH[theme]
    for place, bars in enumerate(drawn.bars):
        left, top = _BARS_LEFT + _BAR_LIST * place, 12.0
        back = {"x": _n(left), "y": "0", "width": _n(_BAR_LIST - 14), "height": _n(_BAR_ROW * len(bars) + 4)}
        ET.SubElement(group, "rect", back | {"fill": BACKGROUND[theme], "fill-opacity": "0.86"})
        if len(drawn.bars) > 1:
            _text(group, Text(left, top, "AB"[place], 11, colours["muted"], anchor="start"))
            top += _BAR_ROW
        for row, bar in enumerate(bars):
            y, track = top + row * _BAR_ROW, left + _BAR_TOKEN + 6
            _text(group, Text(left + _BAR_TOKEN, y, shortened(bar.token, 10), 12, colours["text"], anchor="end"))
            look = {"x": _n(track), "y": _n(y - 8.5), "height": "8", "rx": "2"}
            fill = colours["answer" if bar.answer else "other"]
            ET.SubElement(group, "rect", look | {"width": _n(max(1.5, _BAR_PX * bar.p)), "fill": fill})
            _text(group, Text(track + _BAR_PX + 6, y, f"{bar.p:.2f}", 11.5, colours["muted"], anchor="start"))


def _draw_legend(
    group: ET.Element, keys: tuple[tuple[str, str, str], ...], colours: dict[str, str], width: float
) -> None:
    x = 0.0
    for shape, colour, text in keys:
        end = x + 24 + text_width(text, 12)
        if end > width:
            break  # a narrow picture leaves out the last keys
        if shape == "line":
            ET.SubElement(
                group, "rect", {"x": _n(x), "y": "-1.2", "width": "15", "height": "2.5", "fill": colours[colour]}
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
        _text(group, Text(x + 20, 4, text, 12, colours["muted"], anchor="start"))
        x = end + 10


def _text(group: ET.Element, text: Text) -> None:
    look = {"x": _n(text.x), "y": _n(text.y), "font-size": _n(text.size), "fill": text.colour}
    if text.anchor != "start":
        look["text-anchor"] = text.anchor
    if text.bold:
        look["font-weight"] = "700"
    ET.SubElement(group, "text", look).text = text.text


def _n(value: float) -> str:
    """Two digits: less to store, nothing lost to the eye."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
