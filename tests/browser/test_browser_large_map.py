"""A comparison of real size, opened and read: 30 layers, 20 tokens, 1,500 nodes, 150,000 edges a checkpoint."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from map_page import drawn, pixel_of
from page_measures import WATCH_SHIFTS, shifts, still
from playwright.sync_api import Browser, Locator, Page, expect

from engine.analysis.diff import diff_graphs
from engine.bench.graphs import large_graphs
from engine.bench.maps import N_EDGES, N_FEATURES, N_LAYERS, N_POS
from engine.domain.graphs import Comparison, ComparisonKey
from engine.export.map_page import MOST_ROWS
from engine.store import Store

pytestmark = pytest.mark.browser
PROMPT = "of real size"
MOST_SHIFT = 0.05


REFS = ("demo-lora@base", "demo-lora@25%", "demo-lora@50%", "demo-lora@100%")
ADDRESS = f"compare?a={REFS[0]}&b={quote(REFS[-1])}&prompt={quote(PROMPT)}&view=map"


@pytest.fixture(scope="module")
def largest(server: str, server_folder: Path) -> tuple[int, int]:
    """The stored comparison's feature of the largest part in B: its layer and position. Checkpoints on the way go from
    A's weights to B's."""
    store = Store(server_folder / "workspace")
    first, last = large_graphs(N_LAYERS, N_POS, N_FEATURES, N_EDGES)
    graphs = []
    for place, ref in enumerate(REFS):
        key = first.key.model_copy(update={"checkpoint": ref, "checkpoint_hash": ref, "prompt": PROMPT})
        # Small weights: with larger ones the parts of thirty layers grow beyond any logit.
        weight = (first.weight + place / (len(REFS) - 1) * (last.weight - first.weight)) / 50
        graphs.append(replace(first, key=key, weight=weight.astype(np.float32)))
        store.save_graph(graphs[-1])
    a, b = graphs[0], graphs[-1]
    named = ComparisonKey(a=REFS[0], b=REFS[-1], prompt=PROMPT, transcoders=a.key.transcoders)
    store.save_comparison(Comparison(key=named, graph_a=a.key, graph_b=b.key))
    nodes = diff_graphs(a, b).nodes
    row = nodes[nodes["kind"] == "feature"]["part_b"].abs().idxmax()
    return int(nodes.loc[row, "layer"]), int(nodes.loc[row, "position"])


def test_a_place_down_to_a_feature_an_arc_and_the_address(server: str, page: Page, largest: tuple[int, int]) -> None:
    layer, position = largest
    page.add_init_script(WATCH_SHIFTS)
    page.goto(f"{server}/{ADDRESS}")
    drawn(page)
    still(page)
    shifts(page)  # of the first load
    page.mouse.click(*pixel_of(page, 1, layer + 1, position))
    expect(page.locator(".tm")).to_have_attribute("data-selected", f"place/{layer}/{position}/{position}")
    expect(page.get_by_role("tab", name="Features")).to_be_visible()
    stage = page.locator(".tm-stage").nth(2)
    stage.focus()
    for _ in range(N_LAYERS + 2):  # below the last place are the moves
        page.keyboard.press("ArrowDown")
    expect(page.locator(".tl-tip").nth(2)).to_contain_text("→")
    page.keyboard.press("Enter")
    expect(page.locator(".tm")).to_have_attribute("data-edge", re.compile("place/-1/"))
    expect(page.get_by_text("by the layer that reads it")).to_be_visible()
    still(page)
    assert sum(shift["value"] for shift in shifts(page)) < MOST_SHIFT
    page.reload()
    drawn(page)
    expect(page.locator(".tm")).to_have_attribute("data-edge", re.compile("place/-1/"))


@pytest.mark.usefixtures("largest")
def test_over_training_by_the_keyboard_by_a_link_and_in_an_export(
    server: str, page: Page, browser: Browser, tmp_path: Path
) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto(f"{server}/{ADDRESS}")
    drawn(page)
    still(page)
    shifts(page)  # of the first load
    page.get_by_role("switch", name="Over training").focus()
    page.keyboard.press("Space")
    expect(page.locator(".tm-range")).to_be_visible()
    drawn(page)
    page.locator(".tm-range").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(title_of_b(page)).to_have_text("B · demo-lora · step 75")
    expect(page).to_have_url(re.compile("marks=t75"))
    drawn(page)
    there = page.url
    page.keyboard.press("End")
    expect(title_of_b(page)).to_have_text("B · demo-lora · step 300")
    expect(page).to_have_url(re.compile("marks=t300"))
    drawn(page)
    still(page)
    assert sum(shift["value"] for shift in shifts(page)) < MOST_SHIFT
    page.get_by_role("button", name="Export").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Web page").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    file = tmp_path / "map.html"
    download.value.save_as(file)
    page.goto(there)
    drawn(page)
    expect(title_of_b(page)).to_have_text("B · demo-lora · step 75")
    alone = browser.new_context(viewport={"width": 1280, "height": 720})
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    _is_whole(alone.new_page(), file)
    alone.close()
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def title_of_b(page: Page) -> Locator:
    return page.locator(".tm-panel .tl-title").nth(1)


def _is_whole(page: Page, file: Path) -> None:
    """All steps, places and tables, and they answer."""
    page.goto(file.as_uri())
    expect(page.locator(".tm")).to_have_attribute("data-drawn", re.compile("."))
    expect(page.locator(".tm-panel")).to_have_count(3)
    assert page.locator(".tm").evaluate("root => root.map.payload.frames.length") == len(REFS)
    assert page.locator(".tm").evaluate("root => root.map.payload.rows.length") == N_LAYERS + 1
    expect(title_of_b(page)).to_have_text("B · demo-lora · step 300")
    expect(page.locator("tbody tr")).to_have_count(2 * MOST_ROWS)
    page.locator(".tm-range").focus()
    page.keyboard.press("Home")
    expect(title_of_b(page)).to_have_text("B · demo-lora · base")
    stage = page.locator(".tm-stage").first
    stage.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator(".tm")).to_have_attribute("data-selected", re.compile("^place/"))
