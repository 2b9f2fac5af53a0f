"""Evaluate the bundled demo again and lay the figures beside those that its model card states."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.demo.measure import measure
from engine.demo.records import Figure, Figures
from engine.domain.jobs import Report
from engine.store import Store
from engine.store.files import read_json

Value = int | float | str


@dataclass(frozen=True)
class CheckRow:
    """One figure: as measured now, as stated, and whether they agree within the figure's tolerance."""

    name: str
    value: Value | None  # None: stated, but there is no such thing any more
    stated: Value | None  # None: measured, but the card does not state it
    ok: bool


def check_demo(folder: Path, report: Report) -> list[CheckRow]:
    """One row a figure, in the order of the card. Raises Damaged where a file of the demo cannot be read, NotFound."""
    stated = read_json(folder / "figures.json", Figures)
    # A workspace of its own, so that nothing is written into the demo.
    with tempfile.TemporaryDirectory() as workspace:
        store = Store(Path(workspace), bundled=folder)
        try:
            measured = measure(store, stated.seed, report)
        finally:
            store.close()
    return compare(stated, measured)


def compare(stated: Figures, measured: tuple[Figure, ...]) -> list[CheckRow]:
    """Rows of the stated figures, then of those that are measured but not stated."""
    now = {figure.name: figure.value for figure in measured}
    rows = []
    for figure in stated.figures:
        value = now.pop(figure.name, None)
        rows.append(CheckRow(figure.name, value, figure.value, value is not None and figure.agrees(value)))
    return rows + [CheckRow(name, value, None, ok=False) for name, value in now.items()]
