"""What every kind of artefact shares: two shelves, the rules for names, and the index."""

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from engine.domain.errors import Damaged, DiskFull, NameRefused, NotFound, StorageFailed
from engine.domain.names import check_name
from engine.domain.paths import person_path
from engine.domain.record import Record
from engine.store import claims
from engine.store.catalogue import describe
from engine.store.drives import warning_of, why_read_only
from engine.store.files import clean, storing
from engine.store.index import Index, IndexLost, IndexRow, sqlite_url
from engine.store.layout import BUNDLED, Kind, StoredFile, inside, main_file, stamps_of

_log = logging.getLogger(__name__)
_MOST_PARSED = 50_000  # records of the index; about 2 kB each

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Shelves:
    """The workspace (read-write) and the bundled demo (read-only), in the same layout.

    Files are the truth. Single things are read from their files; only lists are asked of the index.
    """

    def __init__(self, workspace: Path, *, bundled: Path | None = BUNDLED, index_url: str | None = None) -> None:
        """Makes the workspace, cleans up after killed processes and brings the index up to date.

        A workspace that cannot be written safely is opened for reading, and `read_only` says why. `warning` says what
        else there is to know of its drive; both are empty mostly.
        index_url: a SQLAlchemy URL; None is `index.sqlite` in the workspace. Raises StorageFailed.
        """
        self.workspace = person_path(workspace).absolute()
        self.read_only = why_read_only(self.workspace)
        self.warning = "" if self.read_only else warning_of(self.workspace)
        claims.may_write(self.workspace, refused=self.read_only)
        with storing(self.workspace):
            self._index, is_new = self._open_index(index_url)
            if not self.read_only and (kinds := self._index.unknown_kinds()):
                self._only_read(
                    f"{self.workspace} was written by a newer version of Tracelapse: it holds what this one does not "
                    f"know ({', '.join(kinds)[:100]}). It is opened for reading only. Use that version to change it."
                )
        same = bundled is not None and bundled.resolve() == self.workspace.resolve()
        self.bundled = None if same else bundled
        self._left_out: set[tuple[Kind, str]] = set()  # in the workspace, but damaged, so in no list
        self._known_steps: dict[bool, tuple[str, dict[str, tuple[int, ...]]]] = {}  # of checkpoints, by shelf and run
        self._parsed: dict[tuple[bool, Kind, str], tuple[str, Record]] = {}  # with the text that it was read from
        with _tolerating_full_disk():
            self.sync()
        n_own = len(self._stamps(bundled=False)) if is_new else 0
        if n_own:
            _log.warning("The index of %s was made again from the files: %d artifacts.", self.workspace, n_own)

    def _open_index(self, url: str | None) -> tuple[Index, bool]:
        """The index, and whether it is new. Where none can be written it lies in a folder that goes with us."""
        if self.read_only:
            return self._index_aside(), False
        clean(self.workspace)
        claims.clear(self.workspace)
        try:
            with storing(self.workspace):
                index = Index(url or sqlite_url(self.workspace / "index.sqlite"), folder=self.workspace)
                return index, index.prepare()
        except DiskFull as error:  # what is there can be read all the same
            self.warning = f"{error} What is there can be read meanwhile; when there is room again, start anew."
            _log.warning("%s", self.warning)
            return self._index_aside(), False

    def _index_aside(self) -> Index:
        """A new one that nobody else uses."""
        folder = Path(tempfile.mkdtemp(prefix="tracelapse-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        index = Index(sqlite_url(folder / "index.sqlite"), folder=folder)
        index.prepare()
        return index

    def _only_read(self, reason: str) -> None:
        """The index is left to those who know all that is in it, and another one made for us."""
        self._index.close()
        self.read_only, self.warning = reason, ""
        claims.may_write(self.workspace, refused=reason)
        self._index, _ = self._open_index(None)

    def close(self) -> None:
        """Let go of the database. The store can be used again afterwards."""
        self._index.close()

    def sync(self) -> int:
        """Bring the index up to date with the files; reads only what is new or changed. Returns how many were."""
        return self._with_index(lambda: self._sync_shelf(bundled=False) + self._sync_shelf(bundled=True))

    def _sync_shelf(self, *, bundled: bool) -> int:
        known = self._index.stamps(bundled=bundled)
        shelf = self._shelf(bundled=bundled)
        found = {(kind, name): stamp for kind, name, stamp in stamps_of(shelf)} if shelf else {}
        differing = [key for key in known.keys() | found.keys() if known.get(key) != found.get(key)]
        self._settle(differing, bundled=bundled)
        return len(differing)

    def _settle(self, keys: Iterable[tuple[Kind, str]], *, bundled: bool) -> None:
        """Make the index say of these artefacts what their files say.

        Everyone changes the file first and the index after it. So a look at the files after the index was written
        finds out whether another process came in between, and then it is done again.
        """
        files = {key: self._stamp(key, bundled=bundled) for key in keys}
        while files:
            rows = {key: self._row(key, stamp, bundled=bundled) for key, stamp in files.items()}
            self._index.put([row for row in rows.values() if row])
            self._index.drop((bundled, *key) for key, row in rows.items() if row is None)
            now = {key: self._stamp(key, bundled=bundled) for key in files}
            files = {key: stamp for key, stamp in now.items() if stamp != files[key]}

    def _row(self, key: tuple[Kind, str], stamp: int | None, *, bundled: bool) -> IndexRow | None:
        shelf = self._shelf(bundled=bundled)
        if stamp is None or shelf is None:
            return None
        found = StoredFile(*key, shelf / main_file(*key), stamp)
        try:
            inside(shelf, found.path)
            parent, record = describe(found)
        except Damaged as error:
            if found.path.exists():  # else it was removed this moment
                _log.warning("Not listed: %s", error)
                if not bundled:
                    self._left_out.add(key)
            return None
        return IndexRow(bundled, found.kind, found.name, parent, record.model_dump_json(), stamp)

    def _stamp(self, key: tuple[Kind, str], *, bundled: bool) -> int | None:
        """The modification time of the main file in ns; None where there is none."""
        shelf = self._shelf(bundled=bundled)
        try:
            return (shelf / main_file(*key)).stat().st_mtime_ns if shelf else None
        except OSError:
            return None

    def _shelf(self, *, bundled: bool) -> Path | None:
        return self.bundled if bundled else self.workspace

    def _note(self, kind: Kind, name: str) -> None:
        """Tell the index of an artefact of the workspace that was just written or removed."""
        self._with_index(lambda: self._settle([(kind, name)], bundled=False))

    def _find(self, kind: Kind, name: str) -> Path | None:
        """The main file of an artefact, in the workspace first; None where neither shelf has it.

        Puts right what the index of the workspace knows about it. Raises Damaged where a link leads out of the shelf.
        """
        path = self.workspace / main_file(kind, name)
        is_there = path.exists()
        if is_there:
            inside(self.workspace, path)
        if is_there == all(row.bundled for row in self._rows(kind, name=name)):
            _log.warning("The index was wrong about %s.", path)
            with _tolerating_full_disk():
                self._note(kind, name)
        if is_there:
            return path
        path = self.bundled / main_file(kind, name) if self.bundled else path
        return inside(self.bundled, path) if self.bundled and path.exists() else None

    def _locate(self, kind: Kind, what: str, name: str) -> Path:
        """`_find` for a name that a user gave. Raises NameRefused, NotFound with the names there are."""
        path = self._find(kind, check_name(name))
        if path is None:
            raise NotFound(what, name, [row.name for row in self._listed(kind)])
        return path

    def _may_write(self, kind: Kind, what: str, name: str) -> Path:
        """The main file that an artefact of this name has in the workspace. Raises NameRefused for bundled names."""
        check_name(name)
        if self.bundled and (self.bundled / main_file(kind, name)).exists():
            raise NameRefused(
                f"The {what} “{name}” belongs to the bundled demo and cannot be changed. Use another name."
            )
        return inside(self.workspace, self.workspace / main_file(kind, name))

    def _rows(self, kind: Kind, *, parent: str | None = None, name: str | None = None) -> list[IndexRow]:
        return self._with_index(lambda: self._index.rows(kind, parent=parent, name=name))

    def _stamps(self, *, bundled: bool) -> dict[tuple[Kind, str], int]:
        return self._with_index(lambda: self._index.stamps(bundled=bundled))

    def _listed(self, kind: Kind, *, parent: str | None = None) -> list[IndexRow]:
        """Rows of both shelves by name; the workspace hides a bundled artefact of the same name."""
        rows = self._rows(kind, parent=parent)
        return list({row.name: row for row in reversed(rows)}.values())[::-1]

    def _records(self, kind: Kind, record_type: type[R], *, parent: str | None = None) -> list[tuple[IndexRow, R]]:
        try:
            return [(row, self._record(row, record_type)) for row in self._listed(kind, parent=parent)]
        except ValidationError:
            _log.warning("The index holds records that cannot be read; it is filled again.")
            self.rebuild()
        return [(row, self._record(row, record_type)) for row in self._listed(kind, parent=parent)]

    def _record(self, row: IndexRow, record_type: type[R]) -> R:
        """Parsed once while it stays as it is: pages list everything at every rerun."""
        key = row.bundled, row.kind, row.name
        text, record = self._parsed.get(key, ("", None))
        if record is None or text != row.record or not isinstance(record, record_type):
            record = record_type.model_validate_json(row.record)
            if len(self._parsed) >= _MOST_PARSED:
                self._parsed.clear()
            self._parsed[key] = row.record, record
        return record

    def rebuild(self) -> int:
        """Make every entry of the index again from the files. Returns the number of artefacts indexed.

        Never empties it in between: other processes are reading.
        """
        self._with_index(lambda: self._settle_shelf(bundled=False))
        self._with_index(lambda: self._settle_shelf(bundled=True))
        return sum(len(self._stamps(bundled=bundled)) for bundled in (False, True))

    def _settle_shelf(self, *, bundled: bool) -> None:
        shelf = self._shelf(bundled=bundled)
        found = [(kind, name) for kind, name, _ in stamps_of(shelf)] if shelf else []
        self._settle({*self._index.stamps(bundled=bundled), *found}, bundled=bundled)

    def _with_index(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except IndexLost as lost:
            _log.warning("The index was lost (%s); it is made again from the files.", lost)
            for bundled in (False, True):
                self._sync_shelf(bundled=bundled)
            return work()


@contextmanager
def _tolerating_full_disk() -> Iterator[None]:
    """What can be read must stay readable where nothing can be written; the index is mended another time."""
    try:
        yield
    except StorageFailed as error:
        _log.warning("The index is behind the files: %s", error)
