"""A Map as one HTML file that works offline: the app's own component, with its data in the page."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from engine.export.exported_map import ExportedMap
from engine.export.map_svg import map_svg
from engine.export.pages import content_policy, environment, inline_json
from engine.export.scene import BACKGROUND
from engine.export.versions import versions
from engine.figures import palette
from engine.figures.map_tables import move_rows, place_rows

ASSETS = Path(__file__).parents[2] / "assets"
# The files of the component, put together into one module; the page adds the last.
SCRIPTS = (
    *(ASSETS / "graph" / name for name in ("numbers.js", "dom.js", "orders.js")),
    *(
        ASSETS / "map" / name
        for name in ("scene.js", "words.js", "draw.js", "split.js", "state.js", "steps.js", "events.js", "map.js")
    ),
)
STYLES = (ASSETS / "graph" / "linked.css", ASSETS / "map" / "map.css")
MOST_ROWS = 20


def joined(files: Sequence[Path]) -> str:
    """The texts of these files, one after the other."""
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def map_html(drawn: ExportedMap) -> str:
    """The page. No text in it can run as code, and nothing is fetched: its policy allows its one script alone."""
    script = joined(SCRIPTS).replace("export default function map(", "function map(") + joined(
        (ASSETS / "export" / "map.js",)
    )
    view, theme = drawn.view, drawn.theme
    places, moves = place_rows(view).head(MOST_ROWS), move_rows(view).head(MOST_ROWS)
    return (
        environment()
        .get_template("map.html")
        .render(
            policy=content_policy(script),
            script=Markup(script),  # noqa: S704 - our own files
            style=Markup(joined((*STYLES, ASSETS / "export" / "map.css"))),  # noqa: S704 - our own files
            theme=theme,
            colours={
                "background-color": BACKGROUND[theme],
                "secondary-background-color": palette.GRAPH[theme]["grid"],
                "text-color": palette.GRAPH[theme]["text"],
                "border-color": palette.GRAPH[theme]["ghost"],
            },
            data=inline_json(view.payload()),
            height=max(300, 13 * len(view.rows) + 100),
            still=Markup(map_svg(view, theme=theme)),  # noqa: S704 - written through an XML tree
            drawn=drawn,
            places=places.drop(columns="id").to_dict("records"),
            moves=moves.drop(columns=["source", "target"]).to_dict("records"),
            versions=versions(),
        )
    )
