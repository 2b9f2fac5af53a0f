"""Bookmarks are quiet: no page of ours begins with an error in the console or a refused request.

The fixtures of this folder assert the same of every other browser test.
"""

import re
import urllib.request

import pytest
from playwright.sync_api import Page, Response, expect

from pages._ui.frame import PAGES

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", PAGES)
def test_a_bookmark_opens_without_a_refused_request(server: str, page: Page, name: str) -> None:
    refused: list[str] = []
    page.on("response", lambda answer: _note(answer, refused))
    page.goto(server if name == "home" else f"{server}/{name}")
    expect(page.locator('[data-testid="stApp"]')).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_role("link", name=PAGES[name], exact=True).first).to_be_visible()
    assert refused == []


def test_a_bookmark_goes_on_to_the_other_pages(server: str, page: Page) -> None:
    """The front end knows the app's root: links from a bookmarked page lead to the pages, not below it."""
    page.goto(f"{server}/curves?run=demo-lora")
    page.get_by_role("link", name="Train", exact=True).click()
    expect(page).to_have_url(re.compile(rf"^{re.escape(server)}/train"))
    expect(page.get_by_role("heading", name="Train")).to_be_visible()


def test_the_front_end_is_streamlits_own_plus_one_line(server: str) -> None:
    """What we serve at /compare is what Streamlit serves at /, with the app's address before the first script."""
    ours, theirs = (_get(f"{server}/{path}") for path in ("compare", ""))
    line, rest = ours.split("</script>", 1)
    assert "BACKEND_BASE_URL" in line
    assert line.count("<script") == 1
    assert line[: line.index("<script")] + rest == theirs


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode("utf-8"))


def _note(answer: Response, refused: list[str]) -> None:
    if answer.status >= 400:
        refused.append(f"{answer.status} {answer.url}")
