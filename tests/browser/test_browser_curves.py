"""Learning curves in a browser: ten runs beside each other; circuits are traced on the spot, the measure is changed, a
point opens Compare."""

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
    expect(page.get_by_role("heading", name="Circuit change")).to_be_visible()


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
    return page.get_by_test_id("stVegaLiteChart").filter(has_text="not above it").first


def test_the_measure_is_changed_and_a_point_opens_both_checkpoints(server: str, page: Page) -> None:
    _open(page, f"{server}/curves?runs=demo-lora")
    _choose(page, "Measure", "Set of nodes")
    expect(page).to_have_url(re.compile("measure=node_jaccard"))
    expect(page.get_by_text("which nodes belong to the circuit")).to_be_visible()
    page.reload()
    expect(page.get_by_text("which nodes belong to the circuit")).to_be_visible()
    points = _change_chart(page).locator("path[aria-roledescription=point]")
    points.last.click()  # the disc that is not seen lies over the marks, so it comes last
    expect(page).to_have_url(re.compile("/compare"))
    a, b = _param(page, "a"), _param(page, "b")
    assert (a, b) == ("demo-lora@step250", "demo-lora@100%")  # the last point, beside the checkpoint before


def test_a_run_is_traced_on_the_spot_canceled_and_what_is_there_is_kept(server: str, page: Page) -> None:
    _open(page, f"{server}/curves?runs=demo-tokens&on=inference")
    page.get_by_role("button", name="Trace all checkpoints").click()
    here = page.get_by_test_id("stMain")
    # Any but the base: a poll may miss one of them.
    expect(here.get_by_text(re.compile(r"Tracing demo-tokens@step\d"))).to_be_visible(timeout=TRACE_MS)
    here.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("tracing was canceled before the end")).to_be_visible(timeout=TRACE_MS)
    expect(_change_chart(page)).to_be_visible()
    page.get_by_role("radio", name="base model").click()
    expect(page).to_have_url(re.compile("to=base"))
    expect(page.get_by_text("Does the answer depend on the circuit?")).to_be_visible()
    expect(page.get_by_role("button", name="Trace what is missing")).to_be_visible()


def _charts(page: Page) -> Locator:
    return page.get_by_test_id("stVegaLiteChart")


def _open_ten(page: Page, ten_runs: tuple[str, list[str]]) -> None:
    address, names = ten_runs
    page.goto(f"{address}/curves?runs={','.join(names)}")
    expect(_charts(page).nth(2).locator("svg")).to_be_visible()


def _steps(chart: Locator) -> list[str]:
    return chart.locator(".role-axis").first.locator(".role-axis-label text").all_inner_texts()


def _line_opacities(chart: Locator) -> set[str]:
    """Of the lines of its probes."""
    return set(
        chart.locator(".mark-line.role-mark path").evaluate_all("all => all.map(e => getComputedStyle(e).opacity)")
    )


def test_ten_runs_are_told_apart_and_one_is_highlighted_in_every_chart(
    ten_runs: tuple[str, list[str]], page: Page
) -> None:
    _open_ten(page, ten_runs)
    loss, probes = _charts(page).nth(0), _charts(page).nth(1)
    labels = loss.locator(".role-legend-label text")
    expect(labels).to_have_text(ten_runs[1])
    colors = loss.locator(".role-legend-symbol path").evaluate_all("all => all.map(e => getComputedStyle(e).stroke)")
    assert len(set(colors)) == 10
    height = loss.locator(".role-frame .background").first.evaluate("frame => frame.getBoundingClientRect().height")
    assert height >= 200
    assert _line_opacities(probes) == {"1"}
    labels.nth(3).click()
    expect(page.get_by_text("Bands are 95% intervals")).to_be_visible()
    dimmed = probes.locator(".mark-line.role-mark path[opacity='0.12']")
    expect(dimmed).to_have_count(18)  # nine other runs, two probe kinds


@pytest.mark.parametrize("place", [0, 1], ids=["loss", "accuracy"])
def test_ctrl_and_the_wheel_zoom_double_click_goes_back_and_the_wheel_alone_scrolls(
    ten_runs: tuple[str, list[str]], page: Page, place: int
) -> None:
    _open_ten(page, ten_runs)
    loss = _charts(page).nth(place)
    expect(loss.locator(".role-axis-label text").filter(has_text="300")).to_be_visible()
    whole = _steps(loss)
    box = loss.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 100)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(loss.locator(".role-axis-label text").filter(has_text="300")).to_have_count(0)
    page.mouse.dblclick(box["x"] + box["width"] / 3, box["y"] + 100)
    expect(loss.locator(".role-axis-label text").filter(has_text="300")).to_be_visible()
    assert set(_steps(loss)) == set(whole)
    page.mouse.wheel(0, 300)
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 0")
    assert set(_steps(loss)) == set(whole)


def test_a_point_opens_its_checkpoint_in_compare(ten_runs: tuple[str, list[str]], page: Page) -> None:
    address, names = ten_runs
    page.goto(f"{address}/curves?runs={names[0]}")
    points = _charts(page).nth(1).locator(".mark-symbol.role-mark path")
    expect(points.first).to_be_visible()
    points.last.click()
    expect(page).to_have_url(re.compile("/compare"))
    assert (_param(page, "a"), _param(page, "b")) == (f"{names[0]}@base", f"{names[0]}@100%")


@pytest.mark.parametrize("width", [853, 1280, 1920])  # 853: 1280 at 150 %
def test_charts_fill_the_page_and_no_more(ten_runs: tuple[str, list[str]], page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 720})
    _open_ten(page, ten_runs)
    for chart in _charts(page).all()[:3]:
        expect(chart.locator("svg")).to_be_visible()
        outside = chart.evaluate(
            "chart => chart.querySelector('svg').getBoundingClientRect().right - "
            "document.querySelector('[data-testid=stMainBlockContainer]').getBoundingClientRect().right"
        )
        assert outside <= 0
