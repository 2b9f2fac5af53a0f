"""The figures of the demo's model card, as data."""

from pydantic import Field

from engine.domain.record import Record


class Figure(Record):
    """One measured figure. `tolerance` is how far another machine may be off, in the figure's own unit."""

    name: str
    value: int | float | str
    tolerance: float = 0.0

    def agrees(self, other: int | float | str) -> bool:
        """Whether `other`, measured again, is the same figure."""
        if isinstance(self.value, str) or isinstance(other, str):
            return self.value == other
        return abs(self.value - other) <= self.tolerance + 1e-9


class Figures(Record):
    """`figures.json`: everything that the model card states."""

    seed: int
    versions: dict[str, str] = Field(default_factory=dict)  # package -> version that built the demo
    figures: tuple[Figure, ...]

    def values(self) -> dict[str, int | float | str]:
        return {figure.name: figure.value for figure in self.figures}
