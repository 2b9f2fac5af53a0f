"""`app` serves to this machine, and what ends the command ends the app."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the app is a process of its own")
def test_the_app_ends_with_the_command_that_started_it(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "app", "--no-browser", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"TRACELAPSE_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline, "it never answered"
            time.sleep(0.1)
        served_by = {process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))}
        process.terminate()
        process.wait(PATIENCE_S)
        assert not answers(port)
        assert not [pid for pid in served_by if psutil.pid_exists(pid)]
    finally:
        process.kill()
        process.wait()
