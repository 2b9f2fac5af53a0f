"""Memory of this machine that is still free, and how it is given back. Needs no torch: pages ask it too."""

import contextlib
import ctypes
from pathlib import Path

import psutil

# Of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_N_ARENAS = 2
OWN_BLOCK = 2**25  # bytes, its most: larger ones are given back to the system at once
_KEPT_FREE = 2**26  # bytes
_CGROUP = Path("/sys/fs/cgroup")


def free_here() -> int:
    """Bytes that may still be taken: what the system and the container's limit leave."""
    available = int(psutil.virtual_memory().available)
    if (limit := _number(_CGROUP / "memory.max")) is None or (used := _number(_CGROUP / "memory.current")) is None:
        return available
    return min(available, max(0, limit - used + _cached()))


def share_arenas() -> bool:
    """All threads of this process take memory from the same two places. Whether they do; call it before they begin.

    A visitor's every click is a thread of its own, and glibc gives up to eight times as many places as there are cores
    to threads, each with holes that the others do not fill: a server with 20 visitors had 400 MB of them and more each
    minute. Other systems have no such call and need none. Places that there are already stay: `with_few_arenas` is for
    who can begin the process.
    """
    return _set({_ARENA_MAX: _N_ARENAS})


def keep_freed() -> bool:
    """What this process frees it keeps for itself, up to 64 MB. Whether it does.

    Tensors of some MB are made and freed all the time, and a block that comes anew from the system costs a fault for
    every page: a sixth of a trace of the bundled model. It is what glibc comes to by itself once a block of 32 MB has
    been freed.
    """
    return _set({_MMAP_THRESHOLD: OWN_BLOCK, _TRIM_THRESHOLD: _KEPT_FREE})


def _set(options: dict[int, int]) -> bool:
    """Whether glibc is there and has taken them."""
    with contextlib.suppress(OSError, TypeError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all(mallopt(option, value) for option, value in options.items())
    return False


def with_few_arenas(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that is to share them from its first moment."""
    return {"MALLOC_ARENA_MAX": str(_N_ARENAS), **environment}


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
