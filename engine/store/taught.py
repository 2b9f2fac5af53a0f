"""Which examples taught it, as stored."""

from engine.domain.taught import Taught, TaughtKey
from engine.store.catalogue import read_taught
from engine.store.files import write_text
from engine.store.layout import main_file
from engine.store.shelves import Shelves


class TaughtShelf(Shelves):
    """`taught/HASH.json`, named by what was asked."""

    def save_taught(self, taught: Taught) -> None:
        """Raises StorageFailed."""
        write_text(self.workspace / main_file("taught", taught.key.hash), taught.to_json())
        self._note("taught", taught.key.hash)

    def taught(self, key: TaughtKey) -> Taught | None:
        """None where it has not been measured. Raises Damaged."""
        path = self._find("taught", key.hash)
        return None if path is None else read_taught(path)

    def taught_keys(self) -> list[TaughtKey]:
        """Of everything stored, newest first, the bundled ones last."""
        rows = self._records("taught", TaughtKey)
        rows.sort(key=lambda pair: (pair[0].bundled, -pair[0].stamp, pair[0].name))
        return [key for _, key in rows]
