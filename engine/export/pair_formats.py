"""The file formats of a comparison of two attribution graphs. To add one: write its maker, add its record here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

from engine.export.formats import ExportFormat, MenuEntry

if TYPE_CHECKING:
    from engine.domain.corpus import Probe
    from engine.domain.diffs import GraphDiff
    from engine.domain.feature_names import FeatureNames
    from engine.export.shapes import Side, Theme
    from engine.figures.graph_view import GraphView

PICTURES = ("pair", "a", "b", "overlay")
_SAMPLE = 200  # edges


@dataclass(frozen=True, eq=False)
class ExportedPair:
    """A comparison as it is exported."""

    diff: "GraphDiff"
    draw: "Callable[[], GraphView]"  # called only by formats that need the picture
    probe: "Probe | None" = None  # where the prompt is one: the page's sentence says which answer is right
    names: "FeatureNames | None" = None  # labels and groups
    theme: "Theme" = "light"

    @cached_property
    def view(self) -> "GraphView":
        return self.draw()


def _html(pair: ExportedPair, side: str) -> str:
    from engine import export

    return export.graph_html(pair.view, pair.diff, probe=pair.probe, theme=pair.theme, names=pair.names)


def _svg(pair: ExportedPair, side: str) -> str:
    from engine import export

    shown = cast("Side | Literal['pair']", side)
    return export.graph_svg(pair.view, side=shown, theme=pair.theme, names=pair.names)


def _png(pair: ExportedPair, side: str) -> bytes:
    from engine import export

    return export.to_png(_svg(pair, side))


def _graphml(pair: ExportedPair, side: str) -> str:
    from engine import export

    return export.to_graphml(pair.diff, pair.names)


def _tracer(pair: ExportedPair, side: str) -> str:
    from engine import export

    graph = pair.diff.a if side == "a" else pair.diff.b
    slug = export.file_name(f"{graph.key.checkpoint} {graph.key.prompt}", "")
    return export.tracer_json(graph, pair.diff.settings.prune, slug=slug, names=pair.names)


def _edges(pair: ExportedPair, side: str) -> str:
    from engine import export

    return export.edges_csv(pair.diff, pair.names)


def _nodes(pair: ExportedPair, side: str) -> str:
    from engine import export

    return export.nodes_csv(pair.diff, pair.names)


def _about(make: Callable[[ExportedPair, str], str]) -> Callable[[ExportedPair, str], int]:
    """Of a file with a row an edge: its bytes without edges, and as many an edge as a sample of them takes."""

    def about(pair: ExportedPair, side: str) -> int:
        edges = pair.diff.edges
        some = edges.iloc[:: max(1, len(edges) // _SAMPLE)]
        less, more = (
            len(make(replace(pair, diff=replace(pair.diff, edges=rows)), side).encode("utf-8", "backslashreplace"))
            for rows in (edges.iloc[:0], some)
        )
        return less + (more - less) * len(edges) // max(1, len(some))

    return about


PAIR_FORMATS: tuple[ExportFormat[ExportedPair], ...] = (
    ExportFormat(
        "html", (".html", ".htm"), "text/html", "web", _html,
        (MenuEntry("Web page", "One HTML file that works offline.", ".html"),),
    ),
    ExportFormat(
        "png", (".png",), "image/png", "image", _png,
        (MenuEntry("Picture (PNG)", "Both graphs, for slides.", ".png"),), PICTURES,
    ),
    ExportFormat(
        "svg", (".svg",), "image/svg+xml", "image", _svg,
        (
            MenuEntry("Picture (SVG)", "Both graphs, sharp at any size.", ".svg"),
            MenuEntry("Difference (SVG)", "The overlay of both graphs.", "-difference.svg", "overlay"),
        ),
        PICTURES,
    ),
    ExportFormat(
        "csv", (".csv",), "text/csv", "table", _edges,
        (MenuEntry("Edges (CSV)", "A table of all edges, A and B.", "-edges.csv"),), about=_about(_edges),
    ),
    ExportFormat(
        "nodes", (), "text/csv", "table", _nodes,
        (MenuEntry("Nodes (CSV)", "Part, influence, activation, A and B.", "-nodes.csv"),),
    ),
    ExportFormat(
        "graphml", (".graphml",), "application/xml", "hub", _graphml,
        (MenuEntry("Network (GraphML)", "For networkx, Gephi or Cytoscape.", ".graphml"),), about=_about(_graphml),
    ),
    ExportFormat(
        "json", (".json",), "application/json", "data_object", _tracer,
        (
            MenuEntry("Graph A (JSON)", "For circuit-tracer and Neuronpedia.", "-a.json", "a"),
            MenuEntry("Graph B (JSON)", "The same for B.", "-b.json", "b"),
        ),
        ("b", "a"),
    ),
)  # fmt: skip
