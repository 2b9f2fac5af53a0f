"""Who is at work in a workspace: each process that writes there holds a lock, which the kernel drops with it.

`claims/TOKEN.lock` is locked for as long as the process lives; `claims/TOKEN.json` says whose it is. Journals and
unfinished files carry the token. Nothing is judged by a process id, which means another process in another container,
nor by a clock, which jumps.
"""

import atexit
import os
import secrets
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from filelock import FileLock, Timeout
from pydantic import ValidationError

from engine.domain.errors import StorageFailed
from engine.domain.record import Record
from engine.store.drives import drive_of, host

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has another kind of lock
    fcntl = None

FOLDER = "claims"
_PATIENCE_S = 10.0  # another process may just be looking whether the lock is held


class Claimant(Record):
    """The process behind a claim. `boot` tells kernels apart, `drive` is empty where not all see its locks."""

    pid: int
    host: str
    boot: str
    namespace: str
    drive: str


_guard = threading.RLock()
_opened: dict[Path, str] = {}  # workspace -> why this process must not write there; empty where it may
_held: dict[tuple[int, Path], tuple[str, FileLock]] = {}  # by process, as a fork must not take its parent's


def may_write(workspace: Path, *, refused: str = "") -> None:
    """Files below `workspace` will carry this process's token; with a reason, they are refused instead."""
    with _guard:
        _opened[workspace] = refused


def own(workspace: Path) -> str:
    """This process's token, claimed at the first call. Raises StorageFailed, OSError."""
    with _guard:
        if reason := _opened.get(workspace):
            raise StorageFailed(reason)
        token, _ = _held.get((os.getpid(), workspace), ("", None))
        if not token or not _lock_file(workspace, token).exists():  # the folder was deleted and made again
            token, lock = _claim(workspace)
            _held[os.getpid(), workspace] = token, lock
        return token


def own_at(path: Path) -> str:
    """The token for an unfinished file: of the workspace that `path` lies in, else one that nobody cleans up after.

    Raises StorageFailed, OSError.
    """
    with _guard:
        workspace = next((folder for folder in path.parents if folder in _opened), None)
    return own(workspace) if workspace else _no_workspace(os.getpid())


def is_held(workspace: Path, token: str) -> bool:
    """Whether the process with this token lives, as far as can be told: where it cannot, it counts as living."""
    if _held.get((os.getpid(), workspace), ("",))[0] == token != "":
        return True
    claimant = _claimant(workspace, token)
    if claimant is None:
        return False
    return not _is_free(_lock_file(workspace, token)) or _is_hidden(workspace, claimant)


def may_have_ended(workspace: Path, token: str) -> bool:
    """Whether it counts as living only because its lock cannot be seen from here; then a person has to say so."""
    claimant = _claimant(workspace, token)
    return claimant is not None and _is_free(_lock_file(workspace, token)) and _is_hidden(workspace, claimant)


def give_up(workspace: Path, token: str) -> None:
    """A person says that this process has ended: its claim is removed. Ask `may_have_ended` first. Raises OSError."""
    for suffix in (".json", ".lock"):
        _lock_file(workspace, token).with_suffix(suffix).unlink(missing_ok=True)


def holder(workspace: Path, token: str) -> str:
    """Whose claim it is, for a message: `process 12 on calc1`; empty where that is not known."""
    claimant = _claimant(workspace, token)
    return f"process {claimant.pid} on {claimant.host or 'an unnamed machine'}" if claimant else ""


def clear(workspace: Path) -> None:
    """Remove the claims of processes that are gone."""
    for path in sorted((workspace / FOLDER).glob("*.lock")):
        if is_held(workspace, path.stem):
            continue
        with (
            suppress(Timeout, OSError),
            FileLock(path, timeout=0, fallback_to_soft=False),
        ):  # a process that has just made it takes another one
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def _claim(workspace: Path) -> tuple[str, FileLock]:
    token = secrets.token_hex(8)
    path = _lock_file(workspace, token)
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path, timeout=_PATIENCE_S, thread_local=False, fallback_to_soft=False)
    lock.acquire()
    about = Claimant(pid=os.getpid(), host=host(), boot=_boot(), namespace=_namespace(), drive=drive_of(workspace))
    path.with_suffix(".json").write_text(about.to_json(), encoding="utf-8")  # nobody knows the token before it is there
    return token, lock


def let_go(workspace: Path) -> None:
    """Give up this process's own claim: it writes nothing more there, or claims it anew."""
    with _guard:
        token, lock = _held.pop((os.getpid(), workspace), ("", None))
        if lock is not None:
            with suppress(OSError):
                _lock_file(workspace, token).with_suffix(".json").unlink(missing_ok=True)
                _lock_file(workspace, token).unlink(missing_ok=True)
            lock.release()


@atexit.register
def _let_go_of_all() -> None:
    for pid, workspace in list(_held):
        if pid == os.getpid():
            let_go(workspace)


def _claimant(workspace: Path, token: str) -> Claimant | None:
    if not token.isalnum():
        return None
    try:
        return Claimant.model_validate_json(_lock_file(workspace, token).with_suffix(".json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):  # a crash of the machine leaves it empty
        return Claimant(pid=0, host="", boot=_boot(), namespace="", drive="")


def _lock_file(workspace: Path, token: str) -> Path:
    return workspace / FOLDER / f"{token}.lock"


def _is_hidden(workspace: Path, claimant: Claimant) -> bool:
    """A free lock says nothing where it was taken under another kernel that need not share its locks with this one."""
    return claimant.boot != _boot() and not (claimant.drive and claimant.drive == drive_of(workspace))


def _is_free(path: Path) -> bool:
    """Looked at without taking it from anybody: reading is enough, and two looks do not meet."""
    if fcntl is None:
        try:
            with FileLock(path, timeout=0):
                return True
        except (Timeout, OSError):
            return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


@cache
def _boot() -> str:
    """Containers of one machine share it, and so do their locks."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return host()


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@cache
def _no_workspace(_pid: int) -> str:
    return secrets.token_hex(8)
