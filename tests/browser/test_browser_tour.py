"""The guided walk as a presenter gives it: arrow keys, full screen, no scrolling, the way into the other pages."""

import re
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
N_STEPS = 7
BACK, NEXT = ".st-key-tour_back button", ".st-key-tour_next button"
DRAWN = ".st-key-tour_figure .tour-figure"
FILLS = "(s) => { const b = document.querySelector(s).getBoundingClientRect(); return b.bottom / window.innerHeight }"


def _open(page: Page, server: str, step: int) -> None:
    page.goto(f"{server}/tour?step={step}")
    _at(page, step)


def _at(page: Page, step: int) -> None:
    """Waits until the step is whole."""
    expect(page.get_by_text(f"step {step} of {N_STEPS}")).to_be_visible()
    expect(page.locator('[data-testid="stApp"]')).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator(DRAWN).first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("full screen", re.IGNORECASE))).to_be_visible()  # keys are heard
    expect(page.locator('.st-key-tour_figure [data-stale="true"]')).to_have_count(0)
    assert parse_qs(urlparse(page.url).query)["step"] == [str(step)]


def _title(page: Page) -> str:
    return page.locator(".st-key-tour_words h1").inner_text()


def _overflow(page: Page, selector: str) -> int:
    """Pixels by which what is inside is higher than its box."""
    return int(
        page.evaluate("s => { const e = document.querySelector(s); return e.scrollHeight - e.clientHeight }", selector)
    )


def test_arrow_keys_walk_through_all_steps_and_back(server: str, page: Page) -> None:
    _open(page, server, 1)
    titles = [_title(page)]
    for step in range(2, N_STEPS + 1):
        page.keyboard.press("ArrowRight")
        _at(page, step)
        titles.append(_title(page))
        assert _overflow(page, '[data-testid="stMain"]') <= 0, titles[-1]
        assert _overflow(page, ".st-key-tour_figure") <= 1, titles[-1]
    assert len(set(titles)) == N_STEPS
    expect(page.locator(NEXT)).to_have_count(0)
    page.keyboard.press("ArrowRight")
    _at(page, N_STEPS)
    for step in reversed(range(1, N_STEPS)):
        page.keyboard.press("ArrowLeft")
        _at(page, step)
        assert _title(page) == titles[step - 1]
    expect(page.locator(BACK)).to_be_disabled()


def test_a_remote_control_s_keys_and_the_dots_move_too(server: str, page: Page) -> None:
    _open(page, server, 5)
    page.keyboard.press("PageDown")
    _at(page, 6)
    page.keyboard.press("PageUp")
    _at(page, 5)
    page.get_by_role("button", name="2", exact=True).click()
    _at(page, 2)
    page.reload()
    _at(page, 2)


def test_a_wrong_step_says_so_and_begins(server: str, page: Page) -> None:
    page.goto(f"{server}/tour?step=99")
    expect(page.get_by_text(re.compile("asks for the step “99”"))).to_be_visible()
    expect(page.get_by_text(f"step 1 of {N_STEPS}")).to_be_visible()


def test_full_screen_hides_the_navigation_and_fills_the_screen(server: str, page: Page) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    _open(page, server, 3)
    header = page.locator('[data-testid="stHeader"]')
    expect(header).to_be_visible()
    page.keyboard.press("f")
    expect(header).to_be_hidden()
    assert page.evaluate("document.fullscreenElement === document.documentElement")
    title = page.locator(".st-key-tour_words h1").bounding_box()
    row = page.locator(".st-key-tour_row").bounding_box()
    assert title is not None
    assert row is not None
    assert title["y"] < 60
    assert row["width"] > 1800
    assert 0.8 * 1080 < row["y"] < 1080 - row["height"]
    page.keyboard.press("ArrowRight")
    _at(page, 4)
    expect(header).to_be_hidden()
    page.keyboard.press("F")
    expect(header).to_be_visible()
    page.get_by_role("button", name="Full screen (F)").click()
    expect(header).to_be_hidden()
    page.get_by_role("button", name=re.compile("Leave full screen")).click()
    expect(header).to_be_visible()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_every_step_takes_the_room_of_the_window_and_scrolls_nowhere(
    server: str, page: Page, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for step in range(1, N_STEPS + 1):
        _open(page, server, step)
        pictures = page.locator(".tour-picture")
        for place in range(pictures.count()):
            assert pictures.nth(place).evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
        assert _overflow(page, '[data-testid="stMain"]') <= 0, step
        assert _overflow(page, ".tour-figure") <= 1, step
        assert page.evaluate(FILLS, ".st-key-tour_row") > 0.95, step
    page.keyboard.press("f")
    expect(page.locator('[data-testid="stHeader"]')).to_be_hidden()
    assert page.evaluate(FILLS, ".st-key-tour_row") > 0.95
    assert _overflow(page, '[data-testid="stMain"]') <= 0


def test_the_last_step_ends_in_trying_it(server: str, page: Page) -> None:
    _open(page, server, N_STEPS)
    page.get_by_role("button", name="Try it yourself").click()
    expect(page).to_have_url(re.compile(r"/compare\?.*b=demo-tokens.*marks="))
    expect(page.locator("canvas").first).to_be_visible()


def test_leaving_the_page_leaves_full_screen(server: str, page: Page) -> None:
    _open(page, server, 6)
    page.keyboard.press("f")
    expect(page.locator('[data-testid="stHeader"]')).to_be_hidden()
    page.get_by_role("link", name="Open this in Compare").click()
    expect(page).to_have_url(re.compile(r"/compare\?.*b=demo-tokens"))
    expect(page.locator('[data-testid="stHeader"]')).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def test_home_offers_the_walk(server: str, page: Page) -> None:
    page.goto(server)
    page.get_by_role("button", name="Show me in seven steps").click()
    _at(page, 1)
    page.get_by_role("link", name="Open this in Learning curves").click()
    expect(page).to_have_url(re.compile(r"/curves\?runs=demo-lora"))
