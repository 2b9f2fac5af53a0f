"""How much room a workspace takes and for what, and freeing what can be made again."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from engine.store.files import remove
from engine.store.layout import Kind, main_file, scan
from engine.store.shelves import Shelves

Use = Literal["checkpoints", "transcoder sets", "graphs", "measures", "models written here", "other"]
FREEABLE: Final[dict[Use, tuple[Kind, ...]]] = {
    "graphs": ("comparison", "pair", "graph"),
    "measures": ("acted", "taught", "features", "labels", "intervention", "series", "components", "circuit"),
}  # what can be made again from checkpoints and transcoder sets; a comparison goes before the graphs that it names
_FOLDERS: Final[dict[str, Use]] = {
    "runs": "checkpoints",
    "vocabularies": "checkpoints",
    "transcoders": "transcoder sets",
    "cache": "models written here",
    **{main_file(kind, "x").parts[0]: use for use, kinds in FREEABLE.items() for kind in kinds},
}


@dataclass(frozen=True)
class Room:
    """What one use takes on the disk."""

    use: Use
    n_files: int
    n_bytes: int


class SpaceShelf(Shelves):
    """The whole workspace, in bytes."""

    def room(self) -> tuple[Room, ...]:
        """By use, the largest first; what takes nothing is left out. The bundled demo is not counted."""
        found: dict[Use, list[int]] = {}
        for path in _files(self.workspace):
            use = _FOLDERS.get(path.relative_to(self.workspace).parts[0], "other")
            found.setdefault(use, []).append(_size(path))
        rooms = [Room(use, len(sizes), sum(sizes)) for use, sizes in found.items()]
        return tuple(sorted(rooms, key=lambda room: -room.n_bytes))

    def room_of(self, kind: Literal["run", "transcoders"], name: str) -> int:
        """Bytes of the files of a run, or of a transcoder set, on either shelf; 0 where there is none."""
        path = self._find(kind, name)
        return sum(_size(file) for file in _files(path.parent)) if path else 0

    def free(self, uses: Collection[Use]) -> int:
        """Deletes what can be made again, of these uses (`FREEABLE`); returns the bytes. Nothing may be working here.

        Raises StorageFailed.
        """
        freed = 0
        for kind in (kind for use, kinds in FREEABLE.items() if use in uses for kind in kinds):
            found = [one for one in scan(self.workspace) if one.kind == kind]
            for one in found:
                freed += _size(one.path)
                remove(one.path)
            self._forget([(kind, one.name) for one in found])
        return freed

    def _forget(self, gone: list[tuple[Kind, str]]) -> None:
        self._with_index(lambda: self._settle(gone, bundled=False))


def _files(folder: Path) -> Iterator[Path]:
    for at, _, names in os.walk(folder):
        yield from (Path(at, name) for name in names)


def _size(path: Path) -> int:
    """Of the file itself: a link into someone's folder takes nothing here. 0 where it has just gone."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
