"""Learning curves in a browser: circuits are traced on the spot, the measure is changed, a point opens Compare."""

import re
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = pytest.mark.browser
TRACE_MS = 120_000  # until some checkpoints are traced, on a busy machine


def _param(page: Page, name: str) -> str | None:
    return parse_qs(urlparse(page.url).query).get(name, [None])[0]


def _open(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="How the circuits changed")).to_be_visible()


def _choose(page: Page, label: str, option: str) -> None:
    """A list that is opened before the charts above it are drawn closes again, as it would for a person."""
    for _ in range(10):
        page.get_by_role("combobox", name=label).click()
        try:
            page.get_by_role("option", name=option).click(timeout=4000)
        except PlaywrightTimeout:
            page.keyboard.press("Escape")
        else:
            return
    raise AssertionError(f"“{option}” could not be chosen as {label}")


def _change_chart(page: Page) -> Locator:
    return page.get_by_test_id("stVegaLiteChart").filter(has_text="within the noise")


def test_the_measure_is_changed_and_a_point_opens_both_checkpoints(server: str, page: Page) -> None:
    _open(page, f"{server}/curves?runs=demo-lora")
    _choose(page, "Measure", "Which nodes")
    expect(page).to_have_url(re.compile("measure=node_jaccard"))
    expect(page.get_by_text("which nodes belong to the circuit")).to_be_visible()
    page.reload()
    expect(page.get_by_text("which nodes belong to the circuit")).to_be_visible()
    points = _change_chart(page).locator("path[aria-roledescription=point]")
    points.last.click()  # the disc that is not seen lies over the marks, so it comes last
    expect(page).to_have_url(re.compile("/compare"))
    a, b = _param(page, "a"), _param(page, "b")
    assert (a, b) == ("demo-lora@step250", "demo-lora@100%")  # the last point, beside the checkpoint before


def test_a_run_is_traced_on_the_spot_cancelled_and_what_is_there_is_kept(server: str, page: Page) -> None:
    _open(page, f"{server}/curves?runs=demo-tokens&on=inference")
    page.get_by_role("button", name="Trace all checkpoints").click()
    here = page.get_by_test_id("stMain")
    expect(here.get_by_text(re.compile("Tracing demo-tokens@step20"))).to_be_visible(timeout=TRACE_MS)
    here.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("it was stopped on the way")).to_be_visible(timeout=TRACE_MS)
    expect(_change_chart(page)).to_be_visible()
    page.get_by_role("radio", name="base model").click()
    expect(page).to_have_url(re.compile("to=base"))
    expect(page.get_by_text("Does the answer depend on the circuit?")).to_be_visible()
    expect(page.get_by_role("button", name="Trace the rest")).to_be_visible()
