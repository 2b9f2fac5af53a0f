"""Atomic writes: a sibling is written, flushed to the disk, then renamed. A crash leaves the old state or the new one.

Siblings are named `.tmp-TOKEN-RANDOM-NAME`, by the claim of the process that writes (engine/store/claims.py). A folder
that replaces another one first moves the old one aside, to `.old-TOKEN-RANDOM-NAME`; where a crash falls between the
two renames, `clean` moves it back.
"""

import errno
import gzip
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from engine.domain.errors import Damaged, DiskFull, InputError, StorageFailed, TracelapseError
from engine.domain.foreign import is_disk_full
from engine.domain.record import Record
from engine.store import claims

_log = logging.getLogger(__name__)
_SIBLING = re.compile(r"\.(tmp|old)-([0-9a-f]+)-[0-9a-f]{8}-(.+)", re.DOTALL)
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_TRIES = 100
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}

R = TypeVar("R", bound=Record)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Raises DiskFull, StorageFailed where writing `path`, or beside it, fails as the disk is full or refuses."""
    try:
        yield
    except TracelapseError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        text = str(error)
        if is_disk_full(error):
            raise DiskFull(
                f"{_named(path)} could not be written: the disk is full. Nothing saved before is lost. Free some "
                "space, or use another workspace (--workspace DIR or TRACELAPSE_HOME)."
            ) from error
        if (number in _REFUSED and _is_beside(path, error)) or "Read-only file system" in text:
            raise StorageFailed(
                f"{_named(path)} could not be written: {text}. Allow writing there, or use another "
                "workspace (--workspace DIR or TRACELAPSE_HOME)."
            ) from error
        raise


def _is_beside(path: Path, error: BaseException) -> bool:
    """Or not known where. What somebody else's file refuses is another matter."""
    name = getattr(error, "filename", None)
    return not isinstance(name, str | os.PathLike) or Path(name).is_relative_to(path.parent)


def _named(path: Path) -> Path:
    """What it will be called: nobody knows the names of unfinished files and folders."""
    parts = (_SIBLING.fullmatch(part) for part in path.parts)
    return Path(*(match[3] if match else part for match, part in zip(parts, path.parts, strict=True)))


def sibling(path: Path, *, kind: str = "tmp") -> Path:
    """A name beside `path` that no one else uses and that says whose it is. Raises StorageFailed, OSError."""
    return path.with_name(f".{kind}-{claims.own_at(path)}-{secrets.token_hex(4)}-{path.name}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; makes the folder. Raises StorageFailed."""
    write_blocks(path, (data,))


def write_blocks(path: Path, blocks: Iterable[bytes]) -> None:
    """`write_bytes` of data that is made block by block. Raises StorageFailed, and what making a block raises."""
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = sibling(path)
        try:
            with temporary.open("xb") as file:
                for block in blocks:
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, on its disk, which is gone at the end; what a killed process leaves is cleaned up.

    Raises StorageFailed, also where what is written into it fails.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = sibling(path)
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yields an empty temporary folder that becomes `path` on a clean exit and is removed on an exception.

    Raises InputError where `path` is taken and `replace` is off; StorageFailed.
    """
    with scratch_folder(path) as temporary:
        yield temporary
        _sync_tree(temporary)
        if replace:
            _replace_folder(temporary, path)
        else:
            _rename_new(temporary, path)
        _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file or folder; it vanishes at once, as a whole, even where a crash interrupts the work."""
    with storing(path):
        gone = sibling(path)
        try:
            path.rename(gone)
        except FileNotFoundError:
            return
        _delete(gone)


def read_text(path: Path) -> str:
    """Raises Damaged where the file is missing, unreadable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Damaged(path, "the file is missing") from error
    except UnicodeDecodeError as error:
        raise Damaged(path, f"it is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise Damaged(path, f"it cannot be read ({error.strerror})", "Check the disk, or delete the file.") from error


def file_hash(path: Path) -> str:
    """sha256 of what is in a file, remembered while its size and time stay. Raises OSError."""
    about = path.stat()
    return _file_hash(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=1024)
def _file_hash(path: Path, _size: int, _time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, record_type: type[R]) -> R:
    """Raises Damaged where the file is missing, no JSON, or not of this type."""
    text = read_text(path)
    try:
        return record_type.model_validate_json(text)
    except ValidationError as error:
        raise Damaged(path, first_reason(error)) from error


def object_in(path: Path) -> dict[str, Any]:
    """The JSON object in a file of somebody else's; empty where there is none: who needs it says what is wrong."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def write_packed_json(path: Path, record: Record) -> None:
    """Without indents and compressed: a record of many short lists is a third and less. Raises StorageFailed."""
    # The same record, the same bytes: no time in the header.
    write_bytes(path, gzip.compress(record.model_dump_json().encode(), mtime=0))


def read_packed_json(path: Path, record_type: type[R]) -> R:
    """Raises Damaged as `read_json`."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return record_type.model_validate_json(file.read())
    except FileNotFoundError as error:
        raise Damaged(path, "the file is missing") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Damaged(path, f"it is not compressed JSON ({error})") from error
    except ValidationError as error:
        raise Damaged(path, first_reason(error)) from error


def first_reason(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def leftovers(root: Path) -> Iterator[Path]:
    """What a killed process left unfinished anywhere under `root`; what a living one is writing is left out."""
    held: dict[str, bool] = {}
    folders = [str(root)]
    while folders:  # not os.walk, which asks of each of ten thousand folders whether it is a link
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                elif match := _SIBLING.fullmatch(entry.name):
                    if match[2] not in held:
                        held[match[2]] = claims.is_held(root, match[2])
                    if not held[match[2]]:
                        yield Path(entry.path)


def clean(root: Path) -> None:
    """Put back folders that were moved aside, then delete the other leftovers of killed processes."""
    for path in sorted(leftovers(root), key=lambda path: path.name):  # .old before .tmp
        try:
            match = _SIBLING.fullmatch(path.name)
            if match and match[1] == "old" and not path.with_name(match[3]).exists():
                _log.warning("An interrupted replacement is taken back: %s", path.with_name(match[3]))
                path.rename(path.with_name(match[3]))
            else:
                _log.info("Left over by a killed process, deleted: %s", path)
                _delete(path)
        except OSError as error:  # another process may be cleaning too; check() reports what stays
            _log.warning("%s could not be cleaned up: %s", path, error)


def _rename_new(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno in _TAKEN or path.exists():
            raise InputError(f"“{path.name}” already exists. Choose another name, or delete it first.") from error
        raise


def _replace_folder(temporary: Path, path: Path) -> None:
    aside = sibling(path, kind="old")
    for _ in range(_TRIES):
        is_aside = True
        try:
            path.rename(aside)
        except FileNotFoundError:
            is_aside = False
        try:
            temporary.rename(path)
        except OSError as error:
            if error.errno in _TAKEN:  # by another process, between the two renames; its folder is replaced in turn
                _delete(aside)
                continue
            if is_aside:
                aside.rename(path)
            raise
        _delete(aside)
        return
    raise StorageFailed(f"{path} could not be replaced: other processes keep replacing it. Try again.")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                raise InputError(f"{path} is a symbolic link. Replace it with the file itself.")
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(folder))


def _sync_folder(path: Path) -> None:
    """A rename is on the disk only when its folder is. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
