"""The Map as a person uses it: a place, an arc, the keyboard, the slider, the address, a page of its own."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from map_page import data, drawn, pixel_of
from page_measures import WATCH_SHIFTS, shifts, still
from playwright.sync_api import Page, expect

from pages._ui.graphs.marks import Marks

pytestmark = pytest.mark.browser
MOST_SHIFT = 0.05
STORY = "compare?view=map&a=demo-lora@100%25&b=demo-tokens@100%25&prompt=the+cat+feels+blarf+and"


_OVERLAPS = """svgs => svgs.flatMap((svg) =>
  [".tm-row-name", ".tm-total", ".tm-check", ".tm-series"].flatMap((kind) => {
    const boxes = [...svg.querySelectorAll(kind)].map((text) => [text.textContent, text.getBoundingClientRect()]);
    const cross = (p, q) =>
      p.left < q.right - 1 && q.left < p.right - 1 && p.top + 2 < q.bottom - 2 && q.top + 2 < p.bottom - 2;
    return boxes.flatMap(([one, p], i) =>
      boxes.slice(i + 1).filter(([, q]) => cross(p, q)).map(([other]) => [kind, one, other]));
  }))"""
_NEAR = """(root) => Math.min(...root.map.panels.map(({ at }) => {
  const { shown, angle } = at.names;
  const sine = angle ? Math.sin((-angle * Math.PI) / 180) : 1;
  const apart = shown.slice(1).map(({ column }, i) => (at.x(column) - at.x(shown[i].column)) * sine);
  return Math.min(...apart);
}))"""


def overlaps(page: Page) -> list[Any]:
    """Pairs of names (of layers, totals, checkpoints, words beside areas) that lie on each other."""
    return list(page.locator(".tm-stage svg").evaluate_all(_OVERLAPS))


def near_names(page: Page) -> float:
    """The smallest distance between the lines that two neighboring words' turned names stand on, in pixels."""
    return float(page.locator(".tm").evaluate(_NEAR))


@pytest.mark.parametrize("size", [(4, 8), (30, 20), (48, 64)])
@pytest.mark.parametrize("picture", ["acted", "carried"])
def test_no_name_lies_on_another(map_app: str, page: Page, picture: str, size: tuple[int, int]) -> None:
    page.goto(f"{map_app}/?picture={picture}&layers={size[0]}&tokens={size[1]}")
    drawn(page)
    assert overlaps(page) == []
    assert near_names(page) >= 11
    assert page.evaluate("window.hacked") is None


def test_a_place_an_arc_the_keyboard_and_the_address(server: str, page: Page) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto(f"{server}/{STORY}")
    drawn(page)
    still(page)
    shifts(page)  # of the first load, before which Streamlit knows nothing of the page
    page.mouse.click(*pixel_of(page, 1, 1, 5))
    expect(page.locator(".tm")).to_have_attribute("data-selected", "place/0/5/5")
    expect(page.get_by_text("L0 · and", exact=True).first).to_be_visible()
    expect(page.get_by_role("tab", name="Features")).to_be_visible()
    expect(page).to_have_url(re.compile("marks=np0.5.5"))
    still(page)
    assert sum(shift["value"] for shift in shifts(page)) < MOST_SHIFT
    stage = page.locator(".tm-stage").nth(2)
    stage.focus()
    page.keyboard.press("p")
    expect(page.locator(".tm")).to_have_attribute("data-pins", "place/0/5/5")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tl-tip").nth(2)).to_contain_text("L0 · blarf")
    page.keyboard.press("Enter")
    expect(page.locator(".tm")).to_have_attribute("data-selected", "place/0/4/4")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")  # below the last place are the moves
    expect(page.locator(".tl-tip").nth(2)).to_contain_text("→")
    page.keyboard.press("Enter")
    expect(page.locator(".tm")).to_have_attribute("data-edge", re.compile("place/-1/./. place/-1/./."))
    expect(page.get_by_text("by the layer that reads it")).to_be_visible()
    page.reload()
    drawn(page)
    expect(page.locator(".tm")).to_have_attribute("data-pins", "place/0/5/5")
    assert data(page, "edge")
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("marks="))


def test_a_feature_by_its_place_and_a_picture_of_the_map(server: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server}/{STORY}&marks=nf3.5.566")
    drawn(page)
    expect(page.get_by_role("tab", name="What it stands for")).to_be_visible()
    page.get_by_role("button", name="L3 · and").click()
    expect(page.locator(".tm")).to_have_attribute("data-selected", "place/3/5/5")
    marked = parse_qs(urlparse(page.url).query)["marks"][0]
    assert Marks.from_text(marked).selected == "place/3/5/5"
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Picture (SVG)").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert "pushes smiles up" in text


def test_the_slider_goes_over_training(map_app: str, page: Page) -> None:
    page.goto(f"{map_app}/?picture=acted&layers=12&tokens=8")
    drawn(page)
    expect(page.locator(".tm-panel .tl-facts").first).to_contain_text("base to step 60")
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    expect(page.locator(".tm-panel .tl-facts").first).to_contain_text("base to step 15")
    expect(page.get_by_text("marks: t15")).to_be_visible()
    before = page.locator(".tm-marks path").count()
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".tm-panel .tl-facts").first).to_contain_text("base to step 60")
    assert page.locator(".tm-marks path").count() > 0 < before
