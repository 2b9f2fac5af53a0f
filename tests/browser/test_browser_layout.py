"""Nothing moves when a job starts, runs or ends; all text can be read. On every page, in both themes and sizes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from page_measures import WATCH_SHIFTS, shifts, still, texts
from playwright.sync_api import Browser, Page, expect

from engine.domain.jobs import AnalyseRun, CancelToken, Report, Request
from engine.jobs import run_inline
from engine.store import Store
from pages._ui.frame import PAGES

pytestmark = pytest.mark.browser
MOST_SHIFT = 0.05
STOP_MS = 60_000  # until a job that is loading its libraries comes to a point where it can stop
ADDRESSES = ["" if name == "home" else name for name in PAGES]
PAGE = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 28)"}
SMALL, LARGE = {"width": 1280, "height": 720}, {"width": 1920, "height": 1080}
LOOKS = [("light", SMALL), ("dark", LARGE)]


class Job:
    """A job of another process on the server's workspace, whose progress the test decides."""

    def __init__(self) -> None:
        self._half, self._end = threading.Event(), threading.Event()

    def work(self, _store: Store, _request: Request, report: Report, _cancel: CancelToken) -> str:
        self._half.wait()
        report(0.5, "Half of it")
        self._end.wait()
        return ""

    def half(self) -> None:
        self._half.set()

    def end(self) -> None:
        self._half.set()
        self._end.set()


@contextmanager
def _job(folder: Path) -> Iterator[Job]:
    job, store = Job(), Store(folder / "workspace")
    thread = threading.Thread(
        target=lambda: run_inline(store, AnalyseRun(run="demo-lora"), on_progress=lambda *_: None, run=job.work)
    )
    thread.start()
    try:
        yield job
    finally:
        job.end()
        thread.join()


def _drawn(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


@pytest.fixture(scope="module")
def tabs(browser: Browser) -> Iterator[dict[str, Page]]:
    """A tab for each page, which stays open from test to test."""
    context = browser.new_context(viewport=SMALL)  # type: ignore[arg-type]
    context.add_init_script(WATCH_SHIFTS)
    yield {address: context.new_page() for address in ADDRESSES}
    context.close()


def _in(page: Page, theme: str, size: dict[str, int]) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.set_viewport_size(size)  # type: ignore[arg-type]
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", PAGE[theme])
    _drawn(page)
    still(page)


def test_nothing_moves_while_a_job_runs_and_when_it_ends(
    tabs: dict[str, Page], server: str, server_folder: Path
) -> None:
    """Every entry counts, those after a click or key too."""
    with _job(server_folder) as job:
        for address, page in tabs.items():  # a page that was drawn without a job does not ask for any
            page.goto(f"{server}/{address}", wait_until="commit")
        for page in tabs.values():
            _in(page, "dark", SMALL)
            shifts(page)
        job.half()
        for page in tabs.values():
            expect(page.get_by_text("· 50%").or_(page.get_by_text("Half of it")).first).to_be_visible()
        job.end()
        for page in tabs.values():
            expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
            expect(page.locator(".st-key-jobs button")).to_have_count(0)
            _drawn(page)
            still(page)
        moved = {address: shifts(page) for address, page in tabs.items()}
    assert {a: entries for a, entries in moved.items() if sum(e["value"] for e in entries) >= MOST_SHIFT} == {}


def test_nothing_moves_when_a_job_is_asked_for_on_the_page(browser: Browser, server: str) -> None:
    context = browser.new_context(viewport=SMALL)  # type: ignore[arg-type]
    context.add_init_script(WATCH_SHIFTS)
    page = context.new_page()
    page.goto(f"{server}/curves?runs=demo-tokens&of=demo-tokens")
    button = page.get_by_role("button", name="Trace all checkpoints")
    button.scroll_into_view_if_needed()
    _drawn(page)
    still(page)
    shifts(page)
    button.click()
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible()
    cancel.click()
    expect(button).to_be_visible(timeout=STOP_MS)
    _drawn(page)
    still(page)
    moved = shifts(page)
    context.close()
    assert sum(entry["value"] for entry in moved) < MOST_SHIFT, moved


def test_all_text_can_be_read(tabs: dict[str, Page], server: str) -> None:
    """At least 12 px, and 4.5:1 against what is behind it."""
    faults = {}
    for address, page in tabs.items():
        if not page.url.startswith(server):
            page.goto(f"{server}/{address}")
        for theme, size in LOOKS:
            _in(page, theme, size)
            found = [text for text in texts(page) if text["size"] < 11.99 or text["ratio"] < 4.495]
            if found:
                faults[address, theme] = found
    assert faults == {}


@pytest.mark.parametrize("address", ["compare", "circuits"])
def test_at_150_percent_no_choice_is_cut(page: Page, server: str, address: str) -> None:
    page.set_viewport_size({"width": 853, "height": 480})  # 1280 x 720 at 150%
    page.goto(f"{server}/{address}")
    expect(page.locator("canvas").first).to_be_visible()
    cut = page.evaluate(
        """() => {
            const row = document.querySelector(".st-key-choices");
            const inside = (each, box) => each.right <= box.right + 1 && each.left >= box.left - 1;
            return [...row.querySelectorAll("button, [role=combobox]")].filter((each) => {
                const column = each.closest("[data-testid=stColumn]").getBoundingClientRect();
                return !inside(each.getBoundingClientRect(), column);
            }).map((each) => each.innerText || each.value);
        }"""
    )
    assert cut == []
