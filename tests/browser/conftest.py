"""A real server on a free port with a workspace of its own, and a real Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.many_runs import copy_runs

ROOT = Path(__file__).parents[2]
CHROMIUM_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
START_S, ACTION_MS = 60.0, 60_000  # on a busy machine nine tabs take half a minute to connect
expect.set_options(timeout=ACTION_MS)


@dataclass
class Watched:
    """A browser context, and what it did that no page of ours may do."""

    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def tab(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(ACTION_MS)
        page.on("console", self.note_message)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def note_request(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")):
            self.outside.append(url)


def chromium() -> str:
    """The path of Chromium; skips loudly without one, fails where TRACELAPSE_REQUIRE_BROWSER is 1."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        message = "NO CHROMIUM FOUND: browser tests did not run. Install it (Debian: apt-get install chromium)."
        if os.environ.get("TRACELAPSE_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        warnings.filterwarnings("default", message="NO CHROMIUM FOUND")
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server of `server` writes: its log and its workspace."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[str]:
    """The address of the app, started as a user starts it, with an empty workspace."""
    with _served("app.py", server_folder) as address:
        yield address


@pytest.fixture(scope="session")
def ten_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The address of the app with a workspace of ten runs, and their names."""
    folder = tmp_path_factory.mktemp("ten_runs")
    names = copy_runs(folder / "workspace", 10)
    with _served("app.py", folder) as address:
        yield address, names


@pytest.fixture(scope="session")
def graph_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with nothing but the linked graphs."""
    with _served("tests/figures/graph_app.py", tmp_path_factory.mktemp("graph_app")) as address:
        yield address


@pytest.fixture(scope="session")
def map_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with nothing but the Map."""
    with _served("tests/figures/map_app.py", tmp_path_factory.mktemp("map_app")) as address:
        yield address


@contextmanager
def _served(script: str, folder: Path) -> Iterator[str]:
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        script,
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    environment = os.environ | {"TRACELAPSE_HOME": str(folder / "workspace")}
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(address, process, folder / "server.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def profile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One for all visitors: a page whose scripts the browser has compiled before is there in two thirds of the time."""
    context = browser.browser_type.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=chromium(),
        args=list(CHROMIUM_FLAGS),
        viewport={"width": 1280, "height": 720},
        accept_downloads=True,
    )
    yield context
    context.close()


@pytest.fixture
def watched(profile: BrowserContext) -> Iterator[Watched]:
    """A fresh visitor. After each test: nothing left this machine, nothing was an error in the console."""
    profile.clear_cookies()
    visitor = Watched(profile)

    def note(request: Request) -> None:
        visitor.note_request(request.url)

    profile.on("request", note)
    yield visitor
    profile.remove_listener("request", note)
    for page in profile.pages[1:]:  # the first is the browser's own: without any page it would end
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear()")
        page.close()
    assert visitor.outside == []
    assert visitor.errors == []


@pytest.fixture
def new_tab(watched: Watched) -> Callable[[], Page]:
    """Opens one more tab of the same visitor."""
    return watched.tab


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.tab()


@pytest.fixture
def graphs(graph_app: str, page: Page) -> Page:
    """The linked graphs on a page of their own, drawn."""
    page.goto(graph_app)
    expect(page.locator(".tl-stage")).to_have_count(2)
    expect(page.get_by_text("selected: None")).to_be_visible()
    return page


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:  # noqa: S310 - our own server
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The app did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")
