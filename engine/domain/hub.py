"""What lies on the Hugging Face hub: how people name it, and what is known of it before it is downloaded."""

import re
from collections.abc import Collection
from pathlib import Path

from engine.domain.record import Record

_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_ID = re.compile(rf"({_PART}/{_PART})((?:/{_PART}){{0,4}})(?:@([\w./-]{{1,100}}))?", re.ASCII)


class HubId(Record):
    """`OWNER/NAME`, with a folder of it and a revision where there are any: `OWNER/NAME/FOLDER@REVISION`."""

    name: str  # OWNER/NAME; NAME alone for a few old models
    folder: str = ""
    revision: str = ""  # a branch, tag or commit; empty: the default branch

    def __str__(self) -> str:
        folder, revision = f"/{self.folder}" if self.folder else "", f"@{self.revision}" if self.revision else ""
        return f"{self.name}{folder}{revision}"

    @classmethod
    def parse(cls, text: str) -> "HubId | None":
        """None where it can be no id. Whether there is such a one, only the hub knows."""
        found = _ID.fullmatch(text.strip())
        if found is None or ".." in text:
            return None
        return cls(name=found[1], folder=found[2].strip("/"), revision=found[3] or "")

    @classmethod
    def of_cached(cls, path: Path) -> "HubId | None":
        """Whose a folder of the Hugging Face cache is (`models--OWNER--NAME/snapshots/COMMIT/…`); None of any other."""
        for above in (path, *path.parents):
            if above.parent.name == "snapshots" and above.parent.parent.name.startswith("models--"):
                name = above.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
                return cls(name=name, folder=path.relative_to(above).as_posix().strip("."), revision=above.name)
        return None


class HubFile(Record):
    """A file there. Two of one `mark` hold the same bytes."""

    name: str  # with the folders that it lies in
    n_bytes: int
    mark: str
    here: bool  # in the Hugging Face cache already


class HubFolder(Record):
    """A folder at one commit, and files in it."""

    id: HubId
    commit: str
    files: tuple[HubFile, ...]
    offline: bool = False  # the hub could not be asked: only what is in the cache is known

    def only(self, names: Collection[str]) -> "HubFolder":
        """The same with these files of it."""
        return self.model_copy(update={"files": tuple(one for one in self.files if one.name in names)})

    @property
    def missing_bytes(self) -> dict[str, int]:
        """What a download of its files takes: bytes by mark."""
        return {one.mark: one.n_bytes for one in self.files if not one.here}
