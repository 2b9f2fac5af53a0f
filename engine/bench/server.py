"""The app as a user starts it: a server process of its own and a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from engine.bench.setting import ROOT
from engine.domain.errors import InputError
from engine.store.memory import with_few_arenas

if TYPE_CHECKING:
    from playwright.sync_api import Page

START_LIMIT_S = 60.0
QUIET_CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A running `streamlit run app.py`."""

    url: str
    process: psutil.Process
    started: float  # time.perf_counter() just before the process was made

    def loaded_torch(self) -> bool:
        """Has the process mapped torch's library?"""
        return any("libtorch" in mapped.path for mapped in self.process.memory_maps())

    def memory_mb(self) -> float:
        """Resident memory of the server and its children now, in MB."""
        family = (self.process, *self.process.children(recursive=True))
        return sum(member.memory_info().rss for member in family) / 1e6


@contextmanager
def app_server(workspace: Path, *, script: Path = Path("app.py")) -> Iterator[Server]:
    """Starts the app (or another page of Streamlit's) on a free port and stops it at the end."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true", f"--server.port={port}"]
    with (workspace.parent / f"server-{port}.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  our own app with our own arguments
            command,
            cwd=ROOT,
            env=with_few_arenas({**os.environ, "TRACELAPSE_HOME": str(workspace)}),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid), started)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_up(server: Server) -> None:
    """Returns when the server answers. Raises InputError when it does not."""
    while time.perf_counter() - server.started < START_LIMIT_S:
        if not server.process.is_running() or server.process.status() == psutil.STATUS_ZOMBIE:
            break
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=5):  # noqa: S310  our own server
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise InputError("The app's server did not start; try `streamlit run app.py` by itself.")


@contextmanager
def browser_page() -> Iterator["Page"]:
    """One page of a headless Chromium. Raises InputError where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise InputError("Measuring the app needs Chromium on the PATH. Install it, or leave the measure out (--only).")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET_CHROMIUM))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(1e3 * START_LIMIT_S)
        page.goto("about:blank")  # the browser is up before the clock starts
        yield page
        browser.close()


def wait_idle(page: "Page") -> None:
    """Until the page's script has run and what it drew is there."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
