"""The file formats of a Map. To add one: write its maker, add its record here."""

from typing import TYPE_CHECKING

from engine.domain.errors import InputError
from engine.export.exported_map import ExportedMap
from engine.export.formats import ExportFormat, MenuEntry

if TYPE_CHECKING:
    from engine.figures.map_view import MapView


def _html(drawn: ExportedMap, _: str) -> str:
    from engine.export.map_page import map_html

    return map_html(drawn)


def _svg(drawn: ExportedMap, _: str) -> str:
    from engine.export.map_svg import map_svg

    return map_svg(drawn.view, drawn.sentence, caption=drawn.caption, theme=drawn.theme)


def _png(drawn: ExportedMap, _: str) -> bytes:
    from engine import export

    return export.to_png(_svg(drawn, ""))


def _places(drawn: ExportedMap, _: str) -> str:
    from engine.export.tables import printable_csv
    from engine.figures.map_tables import place_rows

    return printable_csv(place_rows(drawn.view).drop(columns="id"))


def _moves(drawn: ExportedMap, _: str) -> str:
    from engine.export.tables import printable_csv
    from engine.figures.map_tables import move_rows

    moves = move_rows(drawn.view)
    if moves.empty:
        raise InputError("Nothing comes from one word to another in this Map, so there are no moves to write.")
    return printable_csv(moves.drop(columns=["source", "target"]))


MAP_FORMATS: tuple[ExportFormat[ExportedMap], ...] = (
    ExportFormat(
        "html", (".html", ".htm"), "text/html", "web", _html,
        (MenuEntry("Web page", "One HTML file that works offline.", ".html"),),
    ),
    ExportFormat(
        "png", (".png",), "image/png", "image", _png, (MenuEntry("Picture (PNG)", "The Map, for slides.", ".png"),),
    ),
    ExportFormat(
        "svg", (".svg",), "image/svg+xml", "image", _svg,
        (MenuEntry("Picture (SVG)", "The Map, sharp at any size.", ".svg"),),
    ),
    ExportFormat(
        "csv", (".csv",), "text/csv", "table", _places,
        (MenuEntry("Places (CSV)", "A table of all places.", "-places.csv"),),
    ),
    ExportFormat(
        "moves", (), "text/csv", "table", _moves,
        (MenuEntry("Moves (CSV)", "What comes to a word from another.", "-moves.csv"),),
    ),
)  # fmt: skip


def formats_of(view: "MapView") -> tuple[ExportFormat[ExportedMap], ...]:
    """What a Map can be taken away as: one without arcs has no moves."""
    has_moves = any(frame.moves.any() for frame in view.frames)
    return tuple(one for one in MAP_FORMATS if has_moves or one.name != "moves")
