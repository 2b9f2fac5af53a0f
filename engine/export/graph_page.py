"""One comparison as one HTML file that works offline: both graphs, what differs, and what made them."""

from dataclasses import dataclass

from markupsafe import Markup

from engine.analysis.carried import sentences
from engine.domain.corpus import Probe
from engine.domain.diffs import STATUSES, GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import AttributionGraph
from engine.export.networks import library, network
from engine.export.pages import asset, content_policy, environment, inline_json
from engine.export.scene import BACKGROUND, alternative, least_height, panel
from engine.export.shapes import Panel, Side, Theme
from engine.export.svg import graph_svg
from engine.export.texts import printable
from engine.export.versions import versions
from engine.figures import palette
from engine.figures.fit_text import low_fit
from engine.figures.graph_view import GraphView
from engine.figures.names import node_name
from engine.figures.tables import CHANGED, edge_table

WIDTH, HEIGHT = 620, 330  # of one graph, in pixels at zoom 1
MOST_EDGES = 2000  # of one graph, beyond the strongest: with more the page opens slowly
MOST_ROWS = 20  # of the table
SIDES: tuple[Side, ...] = ("a", "b", "overlay")


@dataclass(frozen=True)
class Made:
    """One side in words."""

    name: str  # A or B
    checkpoint: str
    checkpoint_hash: str
    replacement: float
    completeness: float
    warning: str


def graph_html(
    view: GraphView,
    diff: GraphDiff,
    *,
    probe: Probe | None = None,
    theme: Theme = "light",
    names: FeatureNames | None = None,
) -> str:
    """The page. `view` is drawn, `diff` is what it was made of; `probe`: where the prompt is one, for the sentence.
    `names`: labels and groups, shown as in the app.

    No text in it can run as code, and nothing is fetched: a Content-Security-Policy allows its two scripts alone.
    """
    height = max(HEIGHT, least_height(view))
    panels = [
        panel(view, side, theme=theme, width=WIDTH, height=height, most_edges=MOST_EDGES, names=names) for side in SIDES
    ]
    lib, script = library(), str(asset("graph.js"))
    return (
        environment()
        .get_template("graph.html")
        .render(
            policy=content_policy(lib, script),
            library=Markup(lib),  # noqa: S704 - of the pyvis package
            script=Markup(script),  # noqa: S704 - our own file
            style=asset("graph.css"),
            theme=theme,
            colours=palette.GRAPH[theme] | {"background": BACKGROUND[theme]},
            data=inline_json(
                {"panels": [_panel_data(one, view, theme) for one in panels], "names": _names(view, names)}
            ),
            panels=panels,
            descriptions=[alternative(view, side) for side in SIDES],
            still=Markup(graph_svg(view, theme=theme, names=names)),  # noqa: S704 - written through an XML tree
            sentences=sentences(diff, probe),
            notes=view.notes[1:],  # the first is in the sentences
            prompt=diff.a.key.prompt,
            is_mean="n" in diff.nodes,  # of many prompts (`engine.analysis.aggregate`)
            rows=edge_table(diff, statuses=CHANGED, most=MOST_ROWS, names=names).to_dict("records"),
            counts={status: diff.summary.edges[status] for status in STATUSES if diff.summary.edges[status]},
            status_colours=palette.STATUS,
            sides=(_made("A", diff.a), _made("B", diff.b)),
            diff=diff,
            versions=versions(),
            automatic=any(text.italic for one in panels for text in one.texts),
        )
    )


def _made(name: str, graph: AttributionGraph) -> Made:
    key, fit = graph.key, graph.fit
    warning = low_fit({name: graph})
    return Made(name, key.checkpoint, key.checkpoint_hash, fit.replacement, fit.completeness, warning)


def _names(view: GraphView, names: FeatureNames | None) -> dict[str, str]:
    """By node id."""
    named = {}
    for node in view.nodes:
        called = node["label"]
        if node["kind"] == "feature":
            called = node_name(node["kind"], node["layer"], node["token"], node["index"], names)
        named[node["id"]] = printable(called)
    return named


def _panel_data(one: Panel, view: GraphView, theme: Theme) -> dict[str, object]:
    return {
        "side": one.side,
        "width": one.width,
        "height": one.height,
        "rows": one.rows,
        "halos": [vars(halo) for halo in one.halos],
        "texts": [vars(text) for text in one.texts],
        "grid": palette.GRAPH[theme]["grid"],
        **network(one, view, ring=palette.GRAPH[theme]["ring"]),
    }
