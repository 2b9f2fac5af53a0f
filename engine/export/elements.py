"""What pictures are written with: texts and numbers of an SVG.

Through an XML tree, so that no text of a user's can become markup.
"""

from xml.etree import ElementTree as ET

from engine.export.shapes import Text, text_width
from engine.export.texts import printable

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"


def add_text(group: ET.Element, text: Text) -> None:
    """One line; characters that XML forbids are made visible."""
    if text.leader:
        ends = dict(zip(("x1", "y1", "x2", "y2"), map(number, text.leader), strict=True))
        ET.SubElement(group, "line", ends | {"stroke": text.colour, "stroke-width": "0.8"})
    if text.backed:
        width = text_width(text.text, text.size, bold=text.bold) + 4
        back = {
            "x": number(text.x - 2),
            "y": number(text.y - 11),
            "width": number(width),
            "height": "14",
            "fill": text.backed,
        }
        ET.SubElement(group, "rect", back | {"fill-opacity": "0.85"})
    look = {"x": number(text.x), "y": number(text.y), "font-size": number(text.size), "fill": text.colour}
    if text.anchor != "start":
        look["text-anchor"] = text.anchor
    if text.bold:
        look["font-weight"] = "700"
    if text.italic:
        look["font-style"] = "italic"
    if text.turned:
        look["transform"] = f"rotate({number(text.turned)} {number(text.x)} {number(text.y)})"
    ET.SubElement(group, "text", look).text = printable(text.text)


def number(value: float) -> str:
    """Two digits: less to store, nothing lost to the eye."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
