"""A comparison of real size, opened and read: 30 layers, 20 tokens, 1,500 nodes, 150,000 edges on each side."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_page import drawn, pixel_of
from page_measures import WATCH_SHIFTS, shifts, still
from playwright.sync_api import Page, expect

from engine.analysis.diff import diff_graphs
from engine.bench.graphs import large_graphs
from engine.bench.maps import N_EDGES, N_FEATURES, N_LAYERS, N_POS
from engine.domain.graphs import Comparison, ComparisonKey
from engine.store import Store

pytestmark = pytest.mark.browser
PROMPT = "of real size"
MOST_SHIFT = 0.05


@pytest.fixture(scope="module")
def largest(server: str, server_folder: Path) -> tuple[int, int]:
    """The stored comparison's feature of the largest part in B: its layer and position."""
    store, sides = Store(server_folder / "workspace"), ("demo-lora@base", "demo-lora@100%")
    graphs = []
    for graph, ref in zip(large_graphs(N_LAYERS, N_POS, N_FEATURES, N_EDGES), sides, strict=True):
        key = graph.key.model_copy(update={"checkpoint": ref, "checkpoint_hash": ref, "prompt": PROMPT})
        # Small weights: with larger ones the parts of thirty layers grow beyond any logit.
        graphs.append(replace(graph, key=key, weight=(graph.weight / 50).astype(np.float32)))
        store.save_graph(graphs[-1])
    a, b = graphs
    named = ComparisonKey(a=sides[0], b=sides[1], prompt=PROMPT, transcoders=a.key.transcoders)
    store.save_comparison(Comparison(key=named, graph_a=a.key, graph_b=b.key))
    nodes = diff_graphs(a, b).nodes
    row = nodes[nodes["kind"] == "feature"]["part_b"].abs().idxmax()
    return int(nodes.loc[row, "layer"]), int(nodes.loc[row, "position"])


def test_a_place_down_to_a_feature_an_arc_and_the_address(server: str, page: Page, largest: tuple[int, int]) -> None:
    layer, position = largest
    page.add_init_script(WATCH_SHIFTS)
    page.goto(f"{server}/compare?a=demo-lora@base&b=demo-lora@100%25&prompt=of+real+size&view=map")
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
