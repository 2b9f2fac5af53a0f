"""Threads that share the places from which they take memory."""

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_share_two_arenas() -> None:
    assert arenas(share=True) <= 2 < arenas(share=False)


def arenas(*, share: bool) -> int:
    command = [sys.executable, "-c", COUNTS, str(share)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return len(re.findall(r"<heap nr=", done.stdout))
