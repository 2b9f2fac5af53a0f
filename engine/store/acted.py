"""Where training acted, as stored."""

from engine.domain.acted import Acted, ActedKey
from engine.store.acted_files import read_acted, write_acted
from engine.store.layout import main_file
from engine.store.shelves import Shelves


class ActedShelf(Shelves):
    """`acted/HASH.safetensors`, named by what was asked."""

    def save_acted(self, acted: Acted) -> None:
        """Raises StorageFailed."""
        write_acted(self.workspace / main_file("acted", acted.key.hash), acted)
        self._note("acted", acted.key.hash)

    def acted(self, key: ActedKey) -> Acted | None:
        """None where it has not been measured. Raises Damaged."""
        path = self._find("acted", key.hash)
        return None if path is None else read_acted(path)

    def acted_keys(self) -> list[ActedKey]:
        """Of everything stored, newest first, the bundled ones last."""
        rows = self._records("acted", ActedKey)
        rows.sort(key=lambda pair: (pair[0].bundled, -pair[0].stamp, pair[0].name))
        return [key for _, key in rows]

    def acted_times(self, run: str) -> tuple[tuple[str, int], ...]:
        """(hash, when it was written, in ns) of what ends in the run: equal while nothing was measured anew."""
        rows = self._listed("acted")
        return tuple(sorted((row.name, row.stamp) for row in rows if row.parent.startswith(f"{run}@")))
