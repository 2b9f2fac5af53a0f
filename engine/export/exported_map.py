"""A Map on its way into a file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.export.shapes import Theme
    from engine.figures.map_view import MapView


@dataclass(frozen=True, eq=False)
class ExportedMap:
    """A Map as it is exported."""

    view: "MapView"
    a: str  # RUN@LABEL
    b: str
    prompt: str  # empty where it is of no one prompt: then `subject` says of what
    sentence: str  # what it tells, in words
    theme: "Theme" = "light"
    subject: str = ""
    model: str = ""  # the base model of both

    @property
    def heading(self) -> str:
        return f"“{self.prompt} ▁”" if self.prompt else self.subject

    @property
    def caption(self) -> str:
        """What a picture without a page around it is of, in letters that its fonts have."""
        of, sides = f"“{self.prompt} …”" if self.prompt else self.subject, f"A {self.a}, B {self.b}"
        return " · ".join(filter(None, (of, sides, self.model and f"base model {self.model}")))
