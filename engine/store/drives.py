"""What the drive of a workspace can do: whether locks work on it, and who else would see them."""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from engine.domain.errors import StorageFailed

_MOUNTS = Path("/proc/self/mountinfo")
_TRIES = 20
# On these a lock is seen by everybody who can see the file: one kernel serves them all …
_LOCAL = {
    "apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3", "overlay", "ramfs", "tmpfs",
    "vfat", "xfs", "zfs",
}  # fmt: skip
# … or the server keeps the locks of all its clients, unless it was mounted with one of these options.
_SHARED = {
    "nfs": {"local_lock=flock", "local_lock=all", "nolock"},
    "nfs4": {"local_lock=flock", "local_lock=all", "nolock"},
    "cifs": {"nobrl", "nolock"},
    "smb3": {"nobrl", "nolock"},
    "ceph": set(),
    "gfs2": {"localflocks"},
    "ocfs2": {"localflocks"},
    "gpfs": set(),
}


def why_read_only(workspace: Path) -> str:
    """Why nothing can be written safely there; empty where it can. Makes the folder. Raises StorageFailed."""
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        if locks_work(workspace):
            return ""
    except OSError as error:
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM} and os.access(workspace, os.R_OK | os.X_OK):
            return (
                f"{workspace} can be read but not written ({error.strerror}), so nothing new can be kept. Allow "
                "writing there, or use another workspace (--workspace DIR or TRACELAPSE_HOME)."
            )
        if error.errno in {errno.ENOSPC, errno.EDQUOT} and workspace.is_dir():
            return ""  # what is written says so; space may be freed meanwhile
        raise StorageFailed(f"The workspace {workspace} cannot be used: {error.strerror or error}.") from error
    return (
        f"Locks do not work on the drive of {workspace}, so two processes could destroy each other's work there. It is "
        "opened for reading only. Use a workspace on another drive (--workspace DIR or TRACELAPSE_HOME)."
    )


def warning_of(workspace: Path) -> str:
    """What to know of a drive whose locks other machines need not see; empty where there is nothing."""
    kind, _ = _mount(workspace)
    if not kind or drive_of(workspace):
        return ""
    return (
        f"{workspace} lies on a drive ({kind}) whose locks other machines may not see. Open it on one machine at a "
        "time: of jobs of another one it cannot be told whether they still run."
    )


def locks_work(folder: Path) -> bool:
    """Tried on a file of its own, which two locks must not hold at once. Raises OSError where none can be made."""
    for _ in range(_TRIES):
        path = folder / f".tmp-{secrets.token_hex(8)}-{secrets.token_hex(4)}-locks"  # a killed look is cleaned up
        path.touch()
        try:
            file = path.stat().st_ino
            with _lock(path), _lock(path):
                if path.stat().st_ino == file:
                    return False
        except Timeout:
            return True
        except FileNotFoundError:
            pass
        except OSError:  # no lock is to be had at all
            return False
        finally:
            path.unlink(missing_ok=True)
        # Another process that opened the workspace took it for one of a killed look: the locks were of two files.
    return False


def is_of_one_machine(folder: Path) -> bool:
    """Whether nobody else can have its files open: not a network drive, as far as the system tells."""
    kind, _ = _mount(folder)
    return not kind or kind in _LOCAL


def drive_of(folder: Path) -> str:
    """The kind of file system if whoever sees its files also sees their locks; empty where that is not known."""
    kind, options = _mount(folder)
    if kind in _LOCAL:
        return kind
    return kind if kind in _SHARED and not _SHARED[kind] & options else ""


def _mount(folder: Path) -> tuple[str, set[str]]:
    """(kind, options) of the file system that `folder` lies on; ("", none) where the system does not tell."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "", set()
    path, best = folder.resolve(), ("", "", set[str]())
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, (kind, *_, options) = before.split(" "), after.split(" ")
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        if len(point) >= len(best[0]) and path.is_relative_to(point):
            best = point, kind, set(options.split(",")) | set(fields[5].split(","))
    return best[1], best[2]


def _lock(path: Path) -> FileLock:
    return FileLock(path, timeout=0, fallback_to_soft=False)


def host() -> str:
    """The machine's name, for messages."""
    with suppress(AttributeError):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")
