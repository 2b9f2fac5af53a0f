"""A file system in memory that has as much room as is wanted, where mounting is allowed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def may_mount(folder: Path) -> bool:
    """Whether `small_disk` would not skip."""
    folder.mkdir(parents=True, exist_ok=True)
    if _mount("", 4096, folder):
        return False
    subprocess.run(["umount", "--lazy", folder], check=True)
    return True


class SmallDisk:
    """Mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, n_bytes: int) -> None:
        """Have room for so much more than there is on it now."""
        about = os.statvfs(self.folder)
        used = (about.f_blocks - about.f_bfree) * about.f_frsize
        assert not _mount("remount", used + n_bytes, self.folder)


@contextmanager
def small_disk(folder: Path, n_bytes: int = 2**30) -> Iterator[SmallDisk]:
    """In the place of what is in the folder; skips the test where nothing may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    if reason := _mount("", n_bytes, folder):
        pytest.skip(f"no right to mount a small disk ({reason}); calls that fail stand in for it")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(option: str, n_bytes: int, folder: Path) -> str:
    """Why it could not be; empty where it was."""
    options = ",".join(filter(None, (option, f"size={max(n_bytes, 4096)}")))
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    return done.stderr.strip() or "refused" if done.returncode else ""
