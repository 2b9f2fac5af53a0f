"""What a still picture of a graph is made of: lines, shapes and texts at their pixels. No file format."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

Side = Literal["a", "b", "overlay"]
Theme = Literal["light", "dark"]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Text:
    x: float
    y: float  # of the base line
    text: str
    size: float  # pixels
    colour: str
    anchor: Anchor = "middle"
    bold: bool = False
    italic: bool = False
    backed: str = ""  # the colour behind it, where lines may pass under the text
    leader: tuple[float, float, float, float] | None = None  # a line to what it names: from x, y to x, y
    turned: float = 0.0  # degrees, around its place


@dataclass(frozen=True)
class Mark:
    """A node: `r` is the radius of a circle, half the side of a square, half the height of a box (a group)."""

    id: str
    shape: Literal["circle", "square", "diamond", "box"]
    x: float
    y: float
    r: float
    fill: str
    stroke: str
    stroke_width: float
    dashed: bool  # a ghost: it exists on the other side only
    tooltip: str
    half: float = 0.0  # half the width of a box
    name: str = ""  # written into a box


@dataclass(frozen=True)
class Arc:
    """An edge, drawn from (x1, y1) up to (x2, y2); `row`: its place in the view's columns."""

    row: int
    source: str
    target: str
    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float
    strong: bool  # drawn without being asked for


@dataclass(frozen=True)
class Bar:
    """The probability of one likely output."""

    token: str
    p: float
    answer: bool  # the right one
    others: bool  # stands for all other tokens


@dataclass(frozen=True)
class Halo:
    """The soft colour behind the members of a group."""

    x: float
    y: float
    r: float
    colour: str


@dataclass(frozen=True)
class Panel:
    """One graph in `width` x `height` pixels, the origin at the top left."""

    side: Side
    title: str
    facts: str  # loss and fit in words
    warning: str  # empty where the graph explains its checkpoint well
    bars: tuple[tuple[Bar, ...], ...]  # of A and B in the overlay, of the one side else
    width: float
    height: float
    rows: tuple[float, ...]  # y of the layers' lines
    halos: tuple[Halo, ...]
    texts: tuple[Text, ...]
    arcs: tuple[Arc, ...]  # the largest first
    marks: tuple[Mark, ...]  # ghosts first


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """About as many pixels as `text` takes in a sans-serif font of `size` pixels; without a font at hand."""
    return size * sum(_character_width(c) for c in text) * (1.06 if bold else 1.0)


def _character_width(character: str) -> float:
    """In parts of the font size."""
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if character in "iljtfr.,:;'|!()[] ·I":
        return 0.31
    if character in "mwMW@%—":
        return 0.86
    return 0.68 if character.isupper() else 0.55


def wrapped(text: str, room: float, size: float) -> list[str]:
    """Lines no wider than `room`, in pixels; a longer word has one of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
