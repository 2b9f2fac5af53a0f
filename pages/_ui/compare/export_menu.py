"""Compare's export menu: the comparison on screen as files to take away."""

from engine.domain.annotations import Annotations
from engine.domain.corpus import Probe
from engine.domain.diffs import GraphDiff
from engine.figures.graph_view import GraphView
from pages._ui.graphs.export_menu import Export, export_popover


def export_menu(
    diff: GraphDiff,
    view: GraphView,
    *,
    name: str,
    probe: Probe | None = None,
    annotations: Annotations | None = None,
) -> None:
    """A popover with a download a line. `name`: what the files are called after; made safe for any file system.

    `probe`: where the prompt is one, so that the page's sentence can tell what is right.
    `annotations`: labels and groups, shown in the pictures and told in circuit-tracer's JSON.
    """
    export_popover(exports(diff, view, name=name, probe=probe, annotations=annotations))


def exports(
    diff: GraphDiff, view: GraphView, *, name: str, probe: Probe | None, annotations: Annotations | None
) -> list[Export]:
    """Everything on offer, in the order of the menu."""
    from engine import export as to  # heavy, and seldom needed: not before the page is there

    def tracer(side: str) -> str:
        graph = diff.a if side == "a" else diff.b
        slug = to.file_name(f"{graph.key.checkpoint} {graph.key.prompt}", "")
        return to.tracer_json(graph, diff.settings.prune, slug=slug, annotations=annotations)

    def overlay() -> str:
        return to.graph_svg(view, side="overlay", annotations=annotations)

    def named(suffix: str) -> str:
        return to.file_name(name, suffix)

    page, image, table, graph, data = (f":material/{icon}:" for icon in ("web", "image", "table", "hub", "data_object"))
    return [
        Export(
            "Web page", "One HTML file that opens in any browser, offline.",
            named(".html"), "text/html", page, lambda: to.graph_html(view, diff, probe=probe, annotations=annotations),
        ),
        Export(
            "Picture (PNG)", "Both graphs, for slides.",
            named(".png"), "image/png", image, lambda: to.to_png(to.graph_svg(view, annotations=annotations)),
        ),
        Export(
            "Picture (SVG)", "The same, sharp at any size.",
            named(".svg"), "image/svg+xml", image, lambda: to.graph_svg(view, annotations=annotations),
        ),
        Export(
            "Difference (SVG)", "The overlay of both graphs.",
            named("-difference.svg"), "image/svg+xml", image, overlay,
        ),
        Export(
            "Edges (CSV)", "For a spreadsheet, both sides.",
            named("-edges.csv"), "text/csv", table, lambda: to.edges_csv(diff),
        ),
        Export(
            "Nodes (CSV)", "Influence and activation on both sides.",
            named("-nodes.csv"), "text/csv", table, lambda: to.nodes_csv(diff),
        ),
        Export(
            "Network (GraphML)", "For networkx, Gephi or Cytoscape.",
            named(".graphml"), "application/xml", graph, lambda: to.to_graphml(diff),
        ),
        Export(
            "Graph A (JSON)", "For circuit-tracer's view and Neuronpedia.",
            named("-a.json"), "application/json", data, lambda: tracer("a"),
        ),
        Export(
            "Graph B (JSON)", "The same of the other side.",
            named("-b.json"), "application/json", data, lambda: tracer("b"),
        ),
    ]  # fmt: skip
