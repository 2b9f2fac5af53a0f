"""Threads that share the places from which they take memory, and what a process keeps of what it frees."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

# How many arenas 16 threads take their memory from: python -c … SHARE
COUNTS = """
import ctypes, sys, tempfile, threading
from engine.store.memory import share_arenas
if sys.argv[1] == "True":
    assert share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fdopen.restype = ctypes.c_void_p, ctypes.c_void_p
all_here = threading.Barrier(16)
def take():
    all_here.wait()
    assert libc.malloc(1000)
    all_here.wait()
threads = [threading.Thread(target=take) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


# How many faults it takes to fill 4 MB a hundred times: python -c … KEEP
FAULTS = """
import ctypes, resource, sys
from engine.store.memory import keep_freed
if sys.argv[1] == "True":
    assert keep_freed()
libc, n = ctypes.CDLL(None), 1 << 22
libc.malloc.restype, libc.memset.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
libc.free.argtypes = (ctypes.c_void_p,)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    first, second = libc.malloc(n), libc.malloc(n)
    libc.memset(first, 1, n), libc.memset(second, 1, n)
    libc.free(first), libc.free(second)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
of_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="both are glibc's")


@of_glibc
def test_what_is_freed_is_taken_again_without_asking_the_system() -> None:
    kept, given_back = (int(output(FAULTS, do=do)) for do in (True, False))
    assert kept < 2 * (1 << 23) / 4096 < given_back


@of_glibc
def test_threads_share_two_arenas() -> None:
    assert arenas(share=True) <= 2 < arenas(share=False)


def arenas(*, share: bool) -> int:
    return len(re.findall(r"<heap nr=", output(COUNTS, do=share)))


def output(program: str, *, do: bool) -> str:
    command = [sys.executable, "-c", program, str(do)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
