"""What only a browser shows: the first visit, reload, two tabs, a live run."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

from engine.store import BUNDLED
from tests.browser.navigation import visit

pytestmark = pytest.mark.browser
NewTab = Callable[[], Page]
RUN_MS = 120_000  # until a live run has its first checkpoint, on a busy machine
FIRST_CHECKPOINT = """() => {
  const colour = (step) => [...document.querySelectorAll(".stMarkdownBadge")]
    .filter((badge) => badge.textContent.trim() === step).map((badge) => getComputedStyle(badge).color)[0];
  return colour("step 10") !== undefined && colour("step 10") !== colour("step 300");
}"""  # a planned checkpoint is gray until it is there


def _param(page: Page, name: str) -> str | None:
    return parse_qs(urlparse(page.url).query).get(name, [None])[0]


def _open(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("link", name="Compare", exact=True)).to_be_visible()


def _compare_is_drawn(page: Page) -> None:
    expect(page.get_by_text("Edges from A to B")).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def test_a_first_visitor_sees_a_real_comparison_one_click_away(server: str, page: Page) -> None:
    _open(page, server)
    expect(page.get_by_text("Watch circuits form")).to_be_visible()
    page.get_by_role("button", name="See what two runs learned").click()
    _compare_is_drawn(page)
    assert _param(page, "a") == "demo-lora@100%"
    assert _param(page, "b") == "demo-tokens@100%"
    expect(page.get_by_text(re.compile("stands for")).first).to_be_visible()


def test_the_selection_survives_a_reload_and_tabs_do_not_share_it(server: str, page: Page, new_tab: NewTab) -> None:
    _open(page, f"{server}/compare?a=demo-tokens@100%25&b=demo-lora@100%25&view=table")
    expect(page.get_by_text("Edges from A to B")).to_be_visible()
    other = new_tab()
    _open(other, f"{server}/compare")
    _compare_is_drawn(other)
    page.reload()
    expect(page.get_by_text("Edges from A to B")).to_be_visible()
    assert (_param(page, "a"), _param(page, "view")) == ("demo-tokens@100%", "table")
    assert (_param(other, "a"), _param(other, "view")) == ("demo-lora@100%", "graphs")


def test_a_bookmark_may_be_the_first_request_and_may_be_wrong(server: str, page: Page) -> None:
    _open(page, f"{server}/compare?a=nobody@7%25&view=upside-down")
    expect(page.get_by_text(re.compile("nobody@7%"))).to_be_visible()
    _compare_is_drawn(page)


def test_a_live_run_shows_its_checkpoints_in_every_tab_and_can_be_canceled(
    server: str, page: Page, new_tab: NewTab
) -> None:
    _open(page, server)
    page.get_by_role("button", name=re.compile("Run it live")).click()
    expect(page.get_by_role("heading", name="A live run")).to_be_visible()
    run = _param(page, "live")
    _open(page, f"{server}/train?run={run}")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    other = new_tab()
    _open(other, f"{server}/corpus")
    expect(other.get_by_role("button", name=re.compile(f"Train {run} · "))).to_be_visible()
    expect(other.get_by_test_id("stSidebar")).to_have_count(0)
    page.wait_for_function(FIRST_CHECKPOINT, timeout=RUN_MS)
    page.reload()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_text(re.compile("stopped at"))).to_be_visible()


def test_a_corpus_of_ones_own_is_imported(server: str, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_bytes((BUNDLED / "corpora" / "demo" / "corpus.jsonl").read_bytes())
    _open(page, f"{server}/corpus")
    page.get_by_text("Import a corpus").click()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("is ready to import")).to_be_visible()
    page.get_by_role("button", name="Import corpus").click()
    expect(page).to_have_url(re.compile("corpus=theirs"))
    expect(page.get_by_text("Imported theirs: 50 training examples")).to_be_visible()
    page.get_by_role("link", name="Train a run on it").click()
    expect(page).to_have_url(re.compile("/train.*corpus=theirs"))


# What only this page has, drawn once its parameters were read.
SIGNS = {
    "": "text=Both were taught", "compare": "text=Edges from A to B", "train": "h1:has-text('Train')",
    "corpus": "h1:has-text('Corpus')", "circuits": "text=Share of edges", "curves": "text=Smoothing of the loss",
    "methods": "h1:has-text('Methods')", "tour": "text=Full screen",
}  # fmt: skip


def _drawn(page: Page) -> None:
    expect(page.locator(SIGNS[urlparse(page.url).path.strip("/")]).first).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def test_back_takes_one_press_a_page_or_view_and_each_address_is_of_its_page(server: str, page: Page) -> None:
    """Other selections made on a page add no entry, and the entry holds the last of them."""
    _open(page, server)
    page.get_by_role("button", name="See what two runs learned").click()
    _compare_is_drawn(page)
    page.get_by_role("radio", name="Overlay").click()
    expect(page).to_have_url(re.compile("view=overlay"))
    page.get_by_text("Inputs", exact=True).click()  # of the graphs: a mark
    expect(page).to_have_url(re.compile("marks="))
    addresses = [f"{server}/", re.compile("view=graphs"), page.url]
    page.get_by_role("radio", name="Table").click()
    expect(page).to_have_url(re.compile("view=table"))
    addresses.append(page.url)
    for title in ("Train", "Corpus", "Circuits", "Learning curves", "Methods", "Tour"):
        visit(page, title)
        expect(page).to_have_url(re.compile(f"/{'curves' if title == 'Learning curves' else title.lower()}\\?"))
        _drawn(page)
        addresses.append(page.url)
    page.get_by_role("button", name="Next").click()
    expect(page).to_have_url(re.compile("step=2"))
    for address in reversed(addresses[:-1]):
        page.go_back()
        expect(page).to_have_url(address)
        _drawn(page)
        for view in ("Graphs", "Overlay", "Table"):
            if f"view={view.lower()}" in page.url:
                expect(page.get_by_role("radio", name=view)).to_be_checked()
        expect(page).to_have_url(address)
    expect(page.get_by_role("button", name="See what two runs learned")).to_be_visible()
    page.go_forward()
    page.go_forward()
    expect(page).to_have_url(addresses[2])
    expect(page.get_by_role("radio", name="Overlay")).to_be_checked()


def test_back_while_the_page_that_is_left_still_runs(server: str, page: Page) -> None:
    """What it says of itself comes late, and must not add it behind the page that is wanted."""
    page.goto(f"{server}/curves")
    _drawn(page)
    visit(page, "Methods")
    for delay_ms in (0, 15, 30, 45, 60, 90):
        expect(page).to_have_url(re.compile(r"/methods\?"))
        _drawn(page)
        visit(page, "Tour")
        expect(page).to_have_url(re.compile(r"/tour\?"))
        _drawn(page)
        page.get_by_role("button", name="Next").evaluate(
            "(next, delay) => { next.click(); setTimeout(() => history.back(), delay); }", delay_ms
        )
    expect(page).to_have_url(re.compile(r"/methods\?"))
    _drawn(page)
    page.go_back()
    expect(page).to_have_url(re.compile(r"/curves\?"))
    _drawn(page)


def test_escape_clears_what_is_picked_wherever_the_focus_is(server: str, page: Page) -> None:
    _open(page, f"{server}/compare?view=graphs")
    _compare_is_drawn(page)
    page.locator(".tl-stage").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="All edges")).to_be_visible()
    page.get_by_role("link", name="Compare", exact=True).focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="All edges")).to_have_count(0)
