"""Panels as vis-network's data, made by pyvis: fixed places, no physics, straight directed edges.

pyvis's own page is not used: it links to CDNs in every mode, does not escape its heading, and opens tooltips that
contain “href” as HTML.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from engine.domain.diffs import FLOW
from engine.export.shapes import Arc, Mark, Panel, shortened
from engine.figures.graph_view import GraphView

_SHAPES = {"circle": "dot", "square": "square", "diamond": "diamond", "box": "box"}
_OPTIONS = {
    "autoResize": True,
    "physics": False,
    "layout": {"improvedLayout": False},
    "nodes": {"labelHighlightBold": False},
    "edges": {"smooth": False, "chosen": False, "arrows": {"to": {"scaleFactor": 0.22}}},
    "interaction": {
        "dragNodes": False,
        "hover": True,
        "selectConnectedEdges": False,
        "tooltipDelay": 80,
        "zoomView": False,  # the wheel scrolls the page; buttons zoom
    },
}


def network(panel: Panel, view: GraphView, *, ring: str) -> dict[str, Any]:
    """`nodes`, `edges` and `options` as vis-network takes them. `ring`: the colour of a selected node's outline.

    An edge carries its place in the view as id, `strong`, and its flows `a` and `b` (None where it is not kept).
    """
    from pyvis.network import Network

    net = Network(directed=True)  # undirected, every edge would be looked for among all others
    for mark in panel.marks:
        net.add_node(mark.id, **_node(mark, ring))
    for arc in panel.arcs:
        net.add_edge(arc.source, arc.target, **_edge(arc, view))
    net.set_options(json.dumps(_OPTIONS))
    nodes, edges, _, _, _, options = net.get_network_data()
    return {"nodes": nodes, "edges": edges, "options": json.loads(options)}


@cache
def library() -> str:
    """vis-network, as pyvis brings it; a browser would fetch the map that its last line names."""
    import pyvis

    file = Path(pyvis.__file__).parent / "lib" / "vis-9.1.2" / "vis-network.min.js"
    return file.read_text(encoding="utf-8").partition("//# sourceMappingURL")[0] + "\n"


def _node(mark: Mark, ring: str) -> dict[str, Any]:
    node = {
        "label": " ",  # of an empty one pyvis makes the id
        "shape": _SHAPES[mark.shape],
        "size": round(mark.r * (1.25 if mark.shape == "diamond" else 1), 2),
        "x": round(mark.x, 2),
        "y": round(mark.y, 2),
        "physics": False,
        "title": mark.tooltip,
        "borderWidth": mark.stroke_width,
        "borderWidthSelected": 3,
        "shapeProperties": {"borderDashes": [2, 2] if mark.dashed else False},
        "color": {
            "border": mark.stroke,
            "background": mark.fill,
            "highlight": {"border": ring, "background": mark.fill},
            "hover": {"border": ring, "background": mark.fill},
        },
    }
    if mark.shape == "box":
        size = {"widthConstraint": round(2 * mark.half), "heightConstraint": round(2 * mark.r), "margin": 0}
        node |= size | {"label": shortened(mark.name, max(3, int(2 * mark.half / 5.6))) or " ", "font": {"size": 11}}
    return node


def _edge(arc: Arc, view: GraphView) -> dict[str, Any]:
    edges = view.edges
    return {
        "id": arc.row,
        "width": round(arc.width, 2),
        "hidden": not arc.strong,
        "strong": arc.strong,
        "color": {"color": arc.colour, "opacity": 0.55},
        **{side: edges[FLOW[side]][arc.row] for side in "ab"},
    }
