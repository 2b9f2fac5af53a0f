"""Circuits as a person uses them: a click, a row, a search, a filter, the share of edges; finding them on the spot."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

from engine.domain.components import ComponentKey
from engine.store import Store
from pages._ui.graphs.marks import Marks
from tests.browser.conftest import _served
from tests.browser.graph_page import edge_pixel, find, painted, pixel, root
from tests.figures.component_makers import random_scores
from tests.store.artefacts import add_run

pytestmark = pytest.mark.browser
JOB_MS = 120_000  # the first job of a server's life loads torch


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with the circuits of a run in its workspace."""
    folder = tmp_path_factory.mktemp("circuits")
    store = Store(folder / "workspace", bundled=None)
    add_run(store)
    for place, ref in enumerate(("one@base", "one@50%", "one@100%")):
        key = ComponentKey(checkpoint=ref, checkpoint_hash=f"c{place}", pairs="words", pairs_hash="p")
        store.save_components(replace(random_scores(1, checkpoint=ref, drift=place / 4), key=key))
    os.sync()
    with _served("app.py", folder) as address:
        yield address


@pytest.fixture
def circuits(found: str, page: Page) -> Page:
    page.goto(f"{found}/circuits?run=one&share=0.1")
    expect(page.locator(".tl-stage")).to_have_count(2)
    expect(page.get_by_role("heading", name="Would other prompts give the same circuit?")).to_be_visible()
    settled(page)
    return page


def settled(page: Page) -> None:
    expect(page.locator('[data-testid="stApp"]')).to_have_attribute("data-test-script-state", "notRunning")


def marked(page: Page) -> Marks:
    return Marks.from_text(parse_qs(urlparse(page.url).query).get("marks", [""])[0])


def test_a_component_an_edge_a_row_and_escape(circuits: Page) -> None:
    expect(circuits.locator(".tl-title").first).to_have_text("A · one · base")
    assert min(painted(circuits)) > 0.005
    node = find(circuits, 1, "head")
    circuits.mouse.click(*pixel(circuits, 1, node))
    expect(root(circuits)).to_have_attribute("data-selected", node["id"])
    expect(circuits.get_by_text(re.compile(r"a\d\.h\d · in the circuit of"))).to_be_visible()
    expect(circuits).to_have_url(re.compile("marks=nh"))
    circuits.reload()
    expect(root(circuits)).to_have_attribute("data-selected", node["id"])
    circuits.locator(".tl-stage").first.focus()
    circuits.keyboard.press("Escape")
    expect(circuits.get_by_text("Edges from A to B", exact=True)).to_be_visible()
    expect(circuits).not_to_have_url(re.compile("marks="))
    drawn = edge_pixel(circuits, 0)
    circuits.mouse.move(*pixel(circuits, 0, drawn))
    expect(circuits.locator(".tl-tip").first).to_contain_text("A: effect")
    circuits.mouse.click(*pixel(circuits, 0, drawn))
    expect(root(circuits)).to_have_attribute("data-edge", f"{drawn['from']} {drawn['to']}")
    expect(circuits.get_by_role("button", name="All edges")).to_be_visible()
    circuits.get_by_role("button", name="All edges").click()
    expect(circuits.get_by_text("Edges from A to B", exact=True)).to_be_visible()
    circuits.get_by_test_id("stDataFrame").first.click(position={"x": 18, "y": 50})  # the box before the first row
    expect(root(circuits)).to_have_attribute("data-edge", re.compile(r"\S+ \S+"))
    assert marked(circuits).edge is not None


def test_a_head_is_chosen_in_the_map_and_kept_in_the_graphs(found: str, page: Page) -> None:
    page.goto(f"{found}/circuits?run=one&share=0.1&mode=map")
    expect(page.locator(".tm")).to_have_attribute("data-drawn", re.compile("."))
    settled(page)
    name, x, y = page.locator(".tm").evaluate(
        """(root) => {
            const panel = root.map.panels[2], { row, column } = root.map.scene.places.find(({ column }) => column < 4);
            const box = panel.stage.getBoundingClientRect();
            return [`a${row}.h${column}`, box.left + panel.at.x(column), box.top + panel.at.y(row)];
        }"""
    )
    page.mouse.click(x, y)
    expect(page).to_have_url(re.compile("marks=nh"))
    assert marked(page).selected == name
    expect(page.get_by_text(re.compile(rf"{re.escape(name)} · in"))).to_be_visible()
    page.locator(".tm-range").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tm-panel .tl-title").nth(1)).to_have_text("B · one · step 2")
    expect(page.get_by_text("From base to step 2 the effect on the right answer")).to_be_visible()
    assert marked(page) == Marks(selected=name, step=2)
    page.reload()
    expect(page.locator(".tm-panel .tl-title").nth(1)).to_have_text("B · one · step 2")
    page.get_by_text("Side by side", exact=True).click()
    expect(root(page)).to_have_attribute("data-selected", name)


def test_parts_are_found_by_name_and_layer(circuits: Page) -> None:
    box = circuits.get_by_placeholder("Find: L2, h3, mlp, a1.h3")
    matches = "root => root.graphs.found.map((row) => root.graphs.scene.nodes[row].alias)"
    for text, expected in (
        ("a1.h3", ["a1.h3"]),
        ("l2 mlp", ["m2"]),
        ("l0", ["a0.h0", "a0.h1", "a0.h2", "a0.h3", "m0"]),
    ):
        box.fill(text)
        assert root(circuits).evaluate(matches) == expected


def test_the_difference_filters_by_status_and_the_share_redraws(circuits: Page) -> None:
    circuits.get_by_text("Difference", exact=True).click()
    expect(circuits.locator(".tl-stage")).to_have_count(1)
    expect(circuits).to_have_url(re.compile("mode=difference"))
    circuits.get_by_role("button", name=re.compile("^vanished")).click()
    expect(circuits).to_have_url(re.compile("marks=sv"))
    shown = root(circuits).evaluate(
        "root => { const { scene, panels } = root.graphs;"
        " return panels[0].shown.map(({ e }) => scene.statuses[scene.edges.status[e]]); }"
    )
    assert set(shown) == {"vanished"}
    count = "root => root.graphs.scene.edges.from.length"
    before = root(circuits).evaluate(count)
    slider = circuits.get_by_role("slider", name="Share of edges")
    slider.focus()
    circuits.keyboard.press("End")
    expect(circuits).to_have_url(re.compile("share=0.2"))
    settled(circuits)
    assert root(circuits).evaluate(count) > before


def test_edges_and_scores_are_taken_away(circuits: Page, tmp_path: Path) -> None:
    circuits.get_by_role("button", name="Export").first.click()
    for label, name in (("Edges (CSV)", "-edges.csv"), ("Scores (JSON)", "-scores.json")):
        with circuits.expect_download() as caught:
            circuits.get_by_role("button", name=label).click()
        assert caught.value.suggested_filename.endswith(name)


SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def test_nothing_moves_when_missing_circuits_are_found(found: str, page: Page) -> None:
    page.goto(f"{found}/circuits?run=demo-lora")
    button = page.get_by_role("button", name="Find all")
    expect(button).to_be_visible()
    expect(page.locator(".tl-stage")).to_have_count(2)
    settled(page)
    button.scroll_into_view_if_needed()
    page.evaluate(SHIFTS)
    before = page.evaluate("window.shift")
    button.click()
    here = page.get_by_test_id("stMain")
    here.get_by_role("button", name="Cancel").click()
    expect(button).to_be_visible(timeout=JOB_MS)
    settled(page)
    assert page.evaluate("window.shift") - before < 0.05


def test_the_charts_fill_the_page(circuits: Page) -> None:
    """Each panel is as wide as its part of the page, whatever the window."""
    for width in (1280, 1920):
        circuits.set_viewport_size({"width": width, "height": 900})
        chart = circuits.get_by_test_id("stVegaLiteChart").first
        expect(chart).to_be_visible()
        block = circuits.get_by_test_id("stMainBlockContainer").bounding_box()
        assert block is not None
        circuits.wait_for_function(
            "([element, least]) => element.getBoundingClientRect().width > least",
            arg=[chart.element_handle(), 0.42 * block["width"]],
        )


def test_circuits_are_found_on_the_spot_and_what_is_there_is_kept(found: str, page: Page) -> None:
    page.goto(f"{found}/circuits?run=demo-tokens&metric=kl")
    page.get_by_role("button", name="Find the circuits of all checkpoints").click()
    here = page.get_by_test_id("stMain")
    expect(here.get_by_text(re.compile("demo-tokens@step"))).to_be_visible(timeout=JOB_MS)
    here.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name=re.compile("Find (it|all|what is missing)"))).to_be_visible(timeout=JOB_MS)
    page.goto(f"{found}/circuits?run=demo-tokens&metric=kl&b=base")
    expect(page.locator(".tl-stage")).to_have_count(2)
