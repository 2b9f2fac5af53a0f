"""Memory of this machine that is still free. Needs no torch: pages ask it too."""

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def free_here() -> int:
    """Bytes that may still be taken: what the system and the container's limit leave."""
    available = int(psutil.virtual_memory().available)
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    return available if limit is None or used is None else min(available, max(0, limit - used + _cached()))


def _number(path: Path) -> int | None:
    """None: the file is not there, or says that there is no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _cached() -> int:
    """Bytes of files that the container holds in memory and would give back."""
    try:
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
