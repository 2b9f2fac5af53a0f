"""Graph series of a workspace: what the circuits of a run's checkpoints are measured on."""

from engine.domain.series import GraphSeries
from engine.store.catalogue import read_series
from engine.store.files import write_text
from engine.store.layout import main_file
from engine.store.shelves import Shelves


class SeriesShelf(Shelves):
    """`series/HASH.json`, named by what was asked for."""

    def save_series(self, series: GraphSeries) -> None:
        """Replaces one of the same key. Raises StorageFailed."""
        write_text(self.workspace / main_file("series", series.key.hash), series.model_dump_json() + "\n")
        self._note("series", series.key.hash)

    def series(self, run: str) -> list[GraphSeries]:
        """Of one run, newest first, the bundled ones last; a damaged one is left out here and told by `unreadable`."""
        rows = sorted(self._rows("series", parent=run), key=lambda row: (row.bundled, -row.stamp, row.name))
        paths = [self._find("series", row.name) for row in rows]
        return [read_series(path) for path in dict.fromkeys(paths) if path is not None]
