"""A view of the graphs as still pictures.

The same geometry and the same choices as the canvas of the app (`assets/graph/scene.js`, `draw.js`), as it stands when
nothing is hovered, selected or zoomed. `graph_svg` writes it as it is; the standalone page hands it to vis-network.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal

from engine.domain.diffs import CHANGE, FLOW, NOT_CHANGED, SHARE, STATUSES
from engine.domain.feature_names import FeatureNames
from engine.export.notes import halos, notes
from engine.export.shapes import Arc, Bar, Mark, Panel, Side, Text, Theme, shortened, text_width
from engine.export.texts import printable
from engine.figures import palette
from engine.figures.graph_view import IN_A, IN_B, STRONG_A, STRONG_B, STRONG_CHANGE, GraphView
from engine.figures.node_tooltip import labelled_tooltip

BACKGROUND: dict[Theme, str] = {"light": "#ffffff", "dark": "#0e1117"}
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 38, 26  # room around the layout, in pixels
_IN = {"a": IN_A, "b": IN_B, "overlay": IN_A | IN_B}
_STRONG = {"a": STRONG_A, "b": STRONG_B, "overlay": STRONG_CHANGE}
_LABEL_PX, _OUTPUT_PX, _ROW_PX = 12.5, 11.5, 11.0


def panel(
    view: GraphView,
    side: Side,
    *,
    theme: Theme,
    width: float,
    height: float,
    most_edges: int = 0,
    names: FeatureNames | None = None,
) -> Panel:
    """One side of a view, or what differs. `most_edges`: how many edges beyond the strongest are given too.

    `names`: labels are written beside their features where there is room, groups are marked and named.
    """
    to = _Projection(view, width, height)
    colours = palette.GRAPH[theme] | {"node": BACKGROUND[theme]}
    shown = view.sides if side == "overlay" else [view.sides["ab".index(side)]]
    marks = tuple(sorted(_marks(view, side, to, colours, names), key=lambda mark: not mark.dashed))
    rows = tuple(round(to.y(row["y"])) + 0.5 for row in view.places["rows"])
    written = notes(view.nodes, marks, names, width, colours, levels=rows, size=partial(_size, side)) if names else ()
    return Panel(
        side=side,
        title=printable("  →  ".join(one["title"] for one in shown)),
        facts="orange: more in B · blue: less in B" if side == "overlay" else _facts(shown[0]),
        warning="" if side == "overlay" else shown[0]["warning"],
        bars=tuple(tuple(map(_bar, one["bars"])) for one in shown),
        width=width,
        height=height,
        rows=rows,
        halos=tuple(halos(view.nodes, marks, names.annotations)) if names else (),
        texts=(*_axis_texts(view, to, colours), *_output_labels(view, side, to, colours), *written),
        arcs=tuple(_arcs(view, side, to, colours, most_edges)),
        marks=marks,
    )


def alternative(view: GraphView, side: Side | Literal["pair"]) -> str:
    """A picture in words, for who cannot see it."""
    parts = []
    for one in view.sides if side in ("pair", "overlay") else [view.sides["ab".index(side)]]:
        first = f", most likely output {one['most_likely']}" if one["most_likely"] else ""
        parts.append(f"{one['title']}: {one['n_nodes']} nodes, {one['n_edges']} edges, {one['fit']}{first}.")
    if side == "overlay":
        parts.append("The picture shows the difference: orange where B has more, blue where it has less.")
    return printable(" ".join(parts))


class _Projection:
    """Layout units to pixels; the layout's y goes up."""

    def __init__(self, view: GraphView, width: float, height: float) -> None:
        places = view.places
        self.right = width
        self.bottom = height
        self.sx = (width - _LEFT - _RIGHT) / max(places["width"], 1e-9)
        self.sy = (height - _TOP - _BOTTOM) / max(places["height"], 1e-9)

    def x(self, x: float) -> float:
        return _LEFT + x * self.sx

    def y(self, y: float) -> float:
        return self.bottom - _BOTTOM - y * self.sy


def _facts(side: dict[str, Any]) -> str:
    return " · ".join(filter(None, (side["loss"], side["fit"])))


def _bar(bar: dict[str, Any]) -> Bar:
    return Bar(printable(bar["token"]), bar["p"], bar["answer"], bar["others"])


def _value(node: dict[str, Any], side: Side) -> float:
    return float(max(node["a"], node["b"]) if side == "overlay" else node[side])


def _size(side: Side, node: Mapping[str, Any]) -> float:
    """What decides whose label is written first: its part of the explained logit, what its change does to it."""
    return abs(float(node["change"] if side == "overlay" else node["part"]["ab".index(side)]))


def _marks(
    view: GraphView, side: Side, to: _Projection, colours: dict[str, str], names: FeatureNames | None
) -> Iterator[Mark]:
    inner = [n for n in view.nodes if n["kind"] not in ("token", "logit")]
    largest = max([1e-9, *(max(n["a"], n["b"]) for n in inner)])
    for node in view.nodes:
        there, is_box = bool(node["kept"] & _IN[side]), node["shape"] == "box"
        yield Mark(
            id=node["id"],
            shape=node["shape"],
            x=to.x(node["x"]),
            y=to.y(node["y"]),
            r=_radius(node, _value(node, side) / largest, to) if there or is_box else 2.4,
            fill=colours["answer"] if there and node["answer"] else colours["node"],
            stroke=_outline(node, colours) if there else colours["ghost"],
            stroke_width=_outline_width(node) if there else 1.0,
            dashed=not there,
            tooltip=printable(labelled_tooltip(node, names)),
            half=_box_half(node, to.sx) if is_box else 0.0,
            name=printable(node["label"]) if is_box and there else "",
        )


def least_height(view: GraphView) -> float:
    """Pixels that a graph needs so that its rows, and the names of its layers, do not touch."""
    return float(_TOP + _BOTTOM + view.places["height"] * view.places["least_px"])


def _radius(node: dict[str, Any], share: float, to: _Projection) -> float:
    if node["kind"] in ("token", "logit"):
        return 5.0
    if node["shape"] == "box":
        return 8.0
    room = max(2.4, min(9.0, to.sx * 0.62, to.sy * node["room"] / 2))
    return min(room, 3.2 + 5.8 * math.sqrt(max(share, 0)))


def _box_half(node: dict[str, Any], pitch: float) -> float:
    """What the layout reserves for its name."""
    return max(14.0, (0.8 + 0.62 * min(14, len(node["label"]))) * pitch / 2)


def _outline(node: dict[str, Any], colours: dict[str, str]) -> str:
    if node["status"] in ("appeared", "strengthened"):
        return colours["gained"]
    if node["status"] in ("vanished", "weakened"):
        return colours["lost"]
    if node["status"] == "flipped":
        return colours["flipped"]
    return colours["same" if node["kind"] == "error" else "outline"]


def _outline_width(node: dict[str, Any]) -> float:
    if node["status"] in ("appeared", "vanished"):
        return 2.2
    return 1.0 if node["status"] == "unchanged" else 1.5


def _arcs(view: GraphView, side: Side, to: _Projection, colours: dict[str, str], most: int) -> Iterator[Arc]:
    edges, nodes = view.edges, view.nodes
    sizes = [abs(value or 0) for value in edges[CHANGE if side == "overlay" else FLOW[side]]]
    order = sorted(range(len(sizes)), key=lambda row: (not edges["show"][row] & _STRONG[side], -sizes[row]))
    largest = max([1e-9, *(abs(value) for value in edges[CHANGE])])
    beyond = 0
    for row in order:
        strong = bool(edges["show"][row] & _STRONG[side])
        if not strong and (beyond >= most or not edges["kept"][row] & _IN[side]):
            continue
        beyond += not strong
        source, target = nodes[edges["from"][row]], nodes[edges["to"][row]]
        part = abs(edges[CHANGE][row]) / largest if side == "overlay" else abs(edges[SHARE[side]][row] or 0)
        yield Arc(
            row=row,
            source=source["id"],
            target=target["id"],
            x1=to.x(source["x"]),
            y1=to.y(source["y"]),
            x2=to.x(target["x"]),
            y2=to.y(target["y"]),
            colour=_edge_colour(view, side, row, colours),
            width=max(0.9, 3 * math.sqrt(min(1.0, part))),
            strong=strong,
        )


def _edge_colour(view: GraphView, side: Side, row: int, colours: dict[str, str]) -> str:
    """By sign on a side; in the overlay by what was gained or lost: another palette, on purpose."""
    edges = view.edges
    if side != "overlay":
        flow = edges[FLOW[side]][row] or 0
        return colours["positive" if flow > 0 else "negative" if flow < 0 else "same"]
    status = STATUSES[edges["status"][row]]
    if status in NOT_CHANGED or status == "flipped":
        return colours["flipped" if status == "flipped" else "same"]
    return colours["gained" if edges[CHANGE][row] > 0 else "lost"]


def _axis_texts(view: GraphView, to: _Projection, colours: dict[str, str]) -> Iterator[Text]:
    for row in view.places["rows"]:
        yield Text(4, to.y(row["y"]) + 4, row["label"], _ROW_PX, colours["muted"], anchor="start")
    free = -math.inf
    for column in view.places["columns"]:
        text = shortened(printable(column["token"]), 12)
        half = text_width(text, _LABEL_PX, bold=column["bold"]) / 2
        x = max(to.x(column["x"]), half + 2)
        if x - half < free + 4 or x + half > to.right:
            continue  # no room beside the one before
        yield Text(x, to.bottom - 5, text, _LABEL_PX, colours["text"], bold=column["bold"])
        free = x + half


def _output_labels(view: GraphView, side: Side, to: _Projection, colours: dict[str, str]) -> Iterator[Text]:
    """Outputs are named above their squares in two tiers, the right answer and the likeliest first; none overlap."""
    outputs = [node for node in view.nodes if node["kind"] == "logit"]
    outputs.sort(key=lambda node: -(node["answer"] + _value(node, side)))
    likeliest = max(outputs, key=lambda node: _value(node, side), default=None)
    taken: tuple[list[tuple[float, float]], ...] = ([], [])
    for node in outputs:
        bold = node is likeliest
        text = shortened(printable(node["token"]), 14)
        half = text_width(text, _OUTPUT_PX, bold=bold) / 2
        x = min(to.x(node["x"]), to.right - half - 3)
        tier = next(
            (t for t in (0, 1) if all(x - half > end + 5 or x + half < start - 5 for start, end in taken[t])), None
        )
        if tier is None:
            continue
        taken[tier].append((x - half, x + half))
        colour = "answer" if node["answer"] else "text" if _value(node, side) >= 0.1 else "muted"
        yield Text(x, to.y(node["y"]) - 10 - 13 * tier, text, _OUTPUT_PX, colours[colour], bold=bold)
