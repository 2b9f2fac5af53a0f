"""The file formats of a Map. To add one: write its maker, add its record here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.export.formats import ExportFormat, MenuEntry

if TYPE_CHECKING:
    from engine.export.shapes import Theme
    from engine.figures.map_view import MapView


@dataclass(frozen=True, eq=False)
class ExportedMap:
    """A Map as it is exported."""

    view: "MapView"
    a: str  # RUN@LABEL
    b: str
    prompt: str
    sentence: str  # what it tells, in words
    theme: "Theme" = "light"


def _csv(drawn: ExportedMap, _: str) -> str:
    from engine.export.tables import printable_csv
    from engine.figures.map_tables import place_rows

    return printable_csv(place_rows(drawn.view).drop(columns="id"))


MAP_FORMATS: tuple[ExportFormat[ExportedMap], ...] = (
    ExportFormat(
        "csv", (".csv",), "text/csv", "table", _csv,
        (MenuEntry("Places (CSV)", "A table of all places.", "-places.csv"),),
    ),
)  # fmt: skip
