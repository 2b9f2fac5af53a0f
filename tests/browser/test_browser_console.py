"""Bookmarks are quiet: no page of ours begins with an error in the console or a refused request.

The fixtures of this folder assert the same of every other browser test.
"""

import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect
from streamlit.file_util import get_static_dir

from pages._ui.frame import PAGES
from tests.browser.navigation import visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", PAGES)
def test_a_bookmark_opens_without_a_refused_request(server: str, page: Page, name: str) -> None:
    refused: list[str] = []
    page.on("response", lambda answer: _note(answer, refused))
    page.goto(server if name == "home" else f"{server}/{name}")
    expect(page.locator('[data-testid="stApp"]')).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stTopNav").get_by_role("link", name="Compare", exact=True)).to_be_visible()
    assert refused == []


def test_a_bookmark_goes_on_to_the_other_pages(server: str, page: Page) -> None:
    """The front end knows the app's root: links from a bookmarked page lead to the pages, not below it."""
    page.goto(f"{server}/curves?run=demo-lora")
    visit(page, "Train")
    expect(page).to_have_url(re.compile(rf"^{re.escape(server)}/train"))
    expect(page.get_by_role("heading", name="Train")).to_be_visible()


@pytest.mark.parametrize("path", ["", "compare"])
def test_the_front_end_is_streamlits_own_plus_our_script(server: str, path: str) -> None:
    """The app's address, and what keeps Back to one press a page, stand before Streamlit's first script."""
    script, rest = _get(f"{server}/{path}").split("</script>", 1)
    assert "BACKEND_BASE_URL" in script
    assert "replaceState" in script
    assert script.count("<script") == 1
    theirs = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    assert script[: script.index("<script")] + rest == theirs


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode("utf-8"))


def _note(answer: Response, refused: list[str]) -> None:
    if answer.status >= 400:
        refused.append(f"{answer.status} {answer.url}")
