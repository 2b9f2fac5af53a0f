"""Run it live: one click, circuits that form, one click to the comparison; nothing on the page moves."""

import re

import pytest
from page_measures import WATCH_SHIFTS, shifts, still
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
LIVE_MS = 600_000
SHIFT = """() => { window.shift = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift" }) }"""


def test_a_live_run_shows_its_circuits_and_ends_in_a_comparison(server: str, page: Page) -> None:
    page.goto(server)
    page.get_by_role("button", name=re.compile("Run it live")).click()
    expect(page.get_by_role("heading", name="A live run")).to_be_visible()
    page.evaluate(SHIFT)
    expect(page.get_by_text("sentences teach “blarf”")).to_be_visible(timeout=LIVE_MS)
    step = page.locator(".tm-step-name")
    expect(step).to_be_visible(timeout=LIVE_MS)
    first = step.inner_text()
    expect(step).not_to_have_text(first, timeout=LIVE_MS)  # the slider goes along
    compare = page.get_by_role("button", name=re.compile(r"Compare live(-\d+)? with demo-tokens"))
    expect(compare).to_be_visible(timeout=LIVE_MS)
    assert page.evaluate("window.shift") < 0.05
    compare.click()
    expect(page).to_have_url(re.compile(r"/compare\?a=live.*b=demo-tokens"))
    expect(page.locator("canvas").first).to_be_visible()
    expect(page.get_by_role("button", name="Trace this comparison")).to_have_count(0)


def test_a_run_on_train_moves_nothing_from_its_start_to_its_end(server: str, page: Page) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto(f"{server}/train")
    page.get_by_role("spinbutton", name="Steps").fill("20")
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stVegaLiteChart").first.locator("svg")).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    still(page)  # another run is shown now: what that moves is asked for
    shifts(page)
    expect(page.get_by_text("Finished")).to_be_visible(timeout=LIVE_MS)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    still(page)
    assert sum(entry["value"] for entry in shifts(page)) < 0.05


def test_a_card_on_home_is_a_link_as_a_whole(server: str, page: Page) -> None:
    page.goto(server)
    card = page.locator(".st-key-run-card-A")
    picture = card.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    box = picture.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # the link lies above it
    expect(page).to_have_url(re.compile(r"/train\?run=demo-lora"))
