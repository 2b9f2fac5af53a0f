"""The index of a workspace: one table in SQLite (or whatever the URL names). Never the truth; files are.

Threads and processes share it: a connection per call and a busy timeout; WAL mode on a drive of this machine, else a
rollback journal, which two machines may share as far as the drive's locks do. A database that is damaged or of
another schema is made anew and raises IndexLost once, so that the store fills it from the files.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.engine import Connection, Engine

from engine.domain.errors import DiskFull, StorageFailed
from engine.store.drives import is_of_one_machine
from engine.store.layout import KINDS, Kind

_log = logging.getLogger(__name__)
_BUSY_S = 30  # how long a call waits for another process's write

BETWEEN = "\n"  # in no name
_FULL = "could not be written: the disk is full. Free some space."
_NO_ROOM = 2**20  # bytes: SQLite wants some tens of thousands beside the index
T = TypeVar("T")

# The name carries the schema's version: an index of another version has no such table and is made anew.
_ROWS = sa.Table(
    "artefacts_2",
    sa.MetaData(),
    sa.Column("bundled", sa.Boolean, primary_key=True),
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("parent", sa.String(160), nullable=False, index=True),  # run of a checkpoint, checkpoint of a graph
    sa.Column("record", sa.Text, nullable=False),  # JSON of what a list shows
    sa.Column("stamp", sa.BigInteger, nullable=False),  # modification time of the main file, ns since the epoch
    sa.Index("kind_name", "kind", "name"),  # whichever the shelf: else everything is looked at for each single thing
)


@dataclass(frozen=True)
class IndexRow:
    """One artefact in the index."""

    bundled: bool
    kind: Kind
    name: str
    parent: str
    record: str
    stamp: int


class IndexLost(Exception):
    """The database was unusable and is now new and empty."""


class Index:
    """Raises StorageFailed from every call when the database cannot be reached or written."""

    def __init__(self, url: str | sa.URL, *, folder: Path) -> None:
        """`folder` holds the lock under which the database is made."""
        self._lock = FileLock(folder / "index.lock", timeout=_BUSY_S)
        self._remaking = threading.Lock()
        self._engine = _engine(url)

    def prepare(self) -> bool:
        """Make the table where there is none; True where the index is new, and so has to be filled."""
        with self._lock:
            existed = self._file is None or self._file.exists()
            if self._is_sound():
                return False
            if existed:
                _log.warning("The index %s is damaged or of another version; it is made anew.", self._shown_url())
            self._remake()
            return True

    def rows(self, kind: Kind, *, parent: str | None = None, name: str | None = None) -> list[IndexRow]:
        """Rows of one kind, the workspace's first, then by name."""
        query = sa.select(_ROWS).where(_ROWS.c.kind == kind).order_by(_ROWS.c.bundled, _ROWS.c.name)
        if parent is not None:
            query = query.where(_ROWS.c.parent == parent)
        if name is not None:
            query = query.where(_ROWS.c.name == name)
        return self._call(lambda connection: [IndexRow(*row) for row in connection.execute(query)])

    def names(self, kind: Kind, *, bundled: bool) -> str:
        """Of one kind on one shelf, with BETWEEN between them. Joined by the database: a row of each takes ten times as
        long."""
        joined = sa.func.aggregate_strings(_ROWS.c.name, BETWEEN)
        query = sa.select(joined).where(_ROWS.c.kind == kind, _ROWS.c.bundled == bundled)
        return self._call(lambda connection: connection.execute(query).scalar() or "")

    def stamps(self, *, bundled: bool) -> dict[tuple[Kind, str], int]:
        """(kind, name) -> stamp of one shelf."""
        query = sa.select(_ROWS.c.kind, _ROWS.c.name, _ROWS.c.stamp).where(_ROWS.c.bundled == bundled)
        found = self._call(lambda connection: connection.execute(query).all())
        return {(cast(Kind, kind), name): stamp for kind, name, stamp in found if kind in KINDS}

    def unknown_kinds(self) -> list[str]:
        """Kinds of artefacts that a newer version has put into it; they are in no list."""
        query = sa.select(_ROWS.c.kind).distinct().order_by(_ROWS.c.kind)
        found = self._call(lambda connection: connection.execute(query).scalars().all())
        return [kind for kind in found if kind not in KINDS]

    def put(self, rows: Sequence[IndexRow]) -> None:
        """Insert or replace."""
        if not rows:
            return

        def write(connection: Connection) -> None:
            _delete(connection, ((row.bundled, row.kind, row.name) for row in rows))
            connection.execute(sa.insert(_ROWS), [vars(row) for row in rows])

        try:
            self._call(write)
        except sa.exc.IntegrityError:  # another process put the same row between the two statements
            self._call(write)

    def drop(self, keys: Iterable[tuple[bool, Kind, str]]) -> None:
        """Forget rows by (bundled, kind, name)."""
        keys = list(keys)
        if keys:
            self._call(lambda connection: _delete(connection, keys))

    def close(self) -> None:
        self._engine.dispose()

    def _call(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            self._raise_storage_failed(error)
            with self._remaking, self._lock:
                self._engine.dispose()
                if not self._is_sound():  # else another thread or process has mended it
                    self._remake()
            raise IndexLost(str(error.orig)) from error

    def _is_sound(self) -> bool:
        try:
            with self._engine.connect() as connection:
                if self._file and connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
                    return False
                connection.execute(sa.select(_ROWS).limit(1)).all()
                return True
        except sa.exc.DBAPIError as error:
            self._raise_storage_failed(error)
            return False

    def _remake(self) -> None:
        """The lock is held. Drops everything of ours and makes the table anew."""
        self._engine.dispose()
        if self._file:
            for suffix in ("", "-wal", "-shm"):
                self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
        try:
            _ROWS.metadata.drop_all(self._engine)
            _ROWS.metadata.create_all(self._engine)
        except sa.exc.DBAPIError as error:
            self._raise_storage_failed(error)
            raise StorageFailed(f"The index {self._shown_url()} could not be made: {error.orig}") from error

    def _raise_storage_failed(self, error: sa.exc.DBAPIError) -> None:
        """Where it cannot be used although it may be whole."""
        if reason := _storage_reason(error, self._file):
            kind = DiskFull if reason == _FULL else StorageFailed
            raise kind(f"The index {self._shown_url()} {reason}") from error

    @property
    def _file(self) -> Path | None:
        url = self._engine.url
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    def _shown_url(self) -> str:
        return str(self._file) if self._file else self._engine.url.render_as_string(hide_password=True)


def sqlite_url(path: Path) -> sa.URL:
    """Of a file, whatever signs its path has: in a text, `?`, `#` and `%` would mean something."""
    return sa.URL.create("sqlite", database=str(path))


def _engine(url: str | sa.URL) -> Engine:
    made = sa.make_url(url)
    if made.get_backend_name() != "sqlite":
        return sa.create_engine(made, pool_pre_ping=True)
    # Streamlit has a thread per session: never make one wait for a connection of the pool.
    engine = sa.create_engine(made, connect_args={"timeout": _BUSY_S}, max_overflow=-1)

    # WAL keeps its index in memory that the processes share, so it is for those of one machine.
    journal = "WAL" if made.database is None or is_of_one_machine(Path(made.database).parent) else "DELETE"

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: object) -> None:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("PRAGMA synchronous=NORMAL")  # a lost last write is found again in the files

    return engine


def _delete(connection: Connection, keys: Iterable[tuple[bool, Kind, str]]) -> None:
    row = sa.delete(_ROWS).where(
        _ROWS.c.bundled == sa.bindparam("b"), _ROWS.c.kind == sa.bindparam("k"), _ROWS.c.name == sa.bindparam("n")
    )
    connection.execute(row, [{"b": bundled, "k": kind, "n": name} for bundled, kind, name in keys])


def _storage_reason(error: sa.exc.DBAPIError, file: Path | None) -> str:
    """Why the database cannot be used although it is whole; empty where it may be damaged."""
    text = str(error.orig)
    if "disk I/O" in text and file and _has_no_room(file.parent):  # of what it writes beside the index it says no more
        return _FULL
    reasons = {
        "is full": _FULL,
        "readonly": "could not be written: it is read-only. Use another workspace (--workspace or TRACELAPSE_HOME).",
        "unable to open": "could not be opened. Check the permissions of its folder, or use another workspace.",
        "is locked": f"has been locked by another process for {_BUSY_S} s. End that process, then try again.",
    }
    for sign, reason in reasons.items():
        if sign in text:
            return reason
    return ""


def _has_no_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _NO_ROOM
    except OSError:
        return False
