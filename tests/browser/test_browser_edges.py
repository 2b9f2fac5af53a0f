"""Edges of the linked graphs in a real browser: which are drawn, hovered, picked and filtered."""

import re

import pytest
from playwright.sync_api import Page, expect

from pages._ui.graphs.marks import Marks
from tests.browser.graph_page import choose, data, edge_pixel, find, order, pixel, root, told

pytestmark = pytest.mark.browser


def shown_edges(page: Page, side: int) -> list[tuple[str, str]]:
    """The ends of the edges that were drawn last."""
    ends = root(page).evaluate(
        """(root, side) => {
            const { scene, panels } = root.graphs;
            const id = (row) => scene.nodes[row].id;
            return panels[side].shown.map(({ e }) => [id(scene.edges.from[e]), id(scene.edges.to[e])]);
        }""",
        side,
    )
    return [(source, target) for source, target in ends]


def test_edges_into_and_out_of_the_selected_node(graphs: Page) -> None:
    node = find(graphs, 0, "feature")["id"]
    order(graphs, Marks(selected=node).to_text())
    expect(graphs.get_by_text(f"selected: {node}")).to_be_visible()
    quiet = {edge for edge in shown_edges(graphs, 0) if node not in edge}
    both = [edge for edge in shown_edges(graphs, 0) if edge not in quiet]
    graphs.get_by_role("button", name="Only edges into").click()
    expect(graphs.get_by_role("button", name="Only edges into")).to_have_attribute("aria-pressed", "true")
    expect(graphs.get_by_text(re.compile("marks: .*_i$"))).to_be_visible()
    strong = """(root, side) => root.graphs.panels[side].shown.filter((item) => item.scale === 1)
        .map(({ e }) => root.graphs.scene.nodes[root.graphs.scene.edges.to[e]].id)"""
    targets = root(graphs).evaluate(strong, 0)
    assert targets
    assert set(targets) == {node}
    graphs.get_by_role("button", name="Only edges out").click()
    expect(graphs.get_by_text(re.compile("marks: .*_o$"))).to_be_visible()
    outputs = root(graphs).evaluate(strong, 0)
    assert node not in outputs
    assert len(targets) + len(outputs) == len(both)


def test_an_edge_is_hovered_and_picked(graphs: Page) -> None:
    edge = edge_pixel(graphs, 0)
    assert edge is not None
    graphs.mouse.move(*pixel(graphs, 0, edge))
    tip = graphs.locator(".tl-tip").first
    expect(tip).to_contain_text("→")
    expect(tip).to_contain_text(re.compile(r"A: weight [+−]?[\d.]+ · share [+−]?[\d.]+ · flow [+−]?[\d.]+"))
    expect(tip).to_contain_text(re.compile(r"effect of the change [+−]?[\d.]+ · "))
    graphs.mouse.click(*pixel(graphs, 0, edge))
    expect(graphs.get_by_text("marks: e")).to_be_visible()
    assert Marks.from_text(told(graphs)).edge == (edge["from"], edge["to"])
    assert data(graphs, "edge") == f"{edge['from']} {edge['to']}"
    node = find(graphs, 0, "feature")
    graphs.mouse.click(*pixel(graphs, 0, node))
    expect(graphs.get_by_text(f"selected: {node['id']}")).to_be_visible()
    assert Marks.from_text(told(graphs)).edge is None  # a node or an edge, never both


def test_an_edge_that_python_names_is_drawn_where_it_is_pruned_too(graphs: Page) -> None:
    node = find(graphs, 0, "feature")["id"]
    order(graphs, Marks(selected=node).to_text())
    expect(graphs.get_by_text(f"selected: {node}")).to_be_visible()
    ends = root(graphs).evaluate(
        """root => {
            const { scene } = root.graphs;
            const e = scene.edges.kept.findIndex((kept) => kept === 1); // only A keeps it
            return [scene.edges.from[e], scene.edges.to[e]].map((row) => scene.nodes[row].id);
        }"""
    )
    order(graphs, Marks(edge=(ends[0], ends[1])).to_text())
    expect(root(graphs)).to_have_attribute("data-edge", " ".join(ends))
    assert data(graphs, "selected") == ""
    ring = root(graphs).evaluate("root => root.graphs.colours.ring")
    assert all(has_colour(graphs, panel, ring) for panel in (0, 1))


def has_colour(page: Page, panel: int, colour: str) -> bool:
    """Is at least one pixel of the canvas of just this colour?"""
    return bool(
        page.locator(".tl-canvas")
        .nth(panel)
        .evaluate(
            """(canvas, colour) => {
            const want = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            for (let i = 0; i < data.length; i += 4)
                if (data[i + 3] === 255 && want.every((value, c) => Math.abs(data[i + c] - value) < 3)) return true;
            return false;
        }""",
            colour,
        )
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_colour_tells_the_sign_of_the_flow(graphs: Page, sign: int) -> None:
    """Of edges whose weight has the other sign: they lead into what pushes the explained output down, or out of it."""
    ends = root(graphs).evaluate(
        """(root, sign) => {
            const { scene } = root.graphs;
            const { kept, flow_a, share_a, from, to } = scene.edges;
            const e = kept.findIndex((bits, e) => bits & 1 && sign * flow_a[e] > 0 && sign * share_a[e] < 0);
            return [from[e], to[e]].map((row) => scene.nodes[row].id);
        }""",
        sign,
    )
    order(graphs, Marks(edge=(ends[0], ends[1])).to_text())
    expect(root(graphs)).to_have_attribute("data-edge", " ".join(ends))
    colours = root(graphs).evaluate("root => root.graphs.colours")
    assert has_colour(graphs, 0, colours["negative"]) == (sign < 0)
    words = root(graphs).evaluate("root => root.graphs.scene.explained.words")
    expect(graphs.locator(".tl-legend")).to_contain_text(f"pushes {words} up")


def test_the_overlay_is_filtered_by_status_and_size(graphs: Page) -> None:
    choose(graphs, "overlay")
    chip = graphs.get_by_role("button", name=re.compile("^vanished: "))
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(graphs.get_by_text("marks: sv", exact=True)).to_be_visible()
    statuses = """root => { const { scene, panels } = root.graphs;
        return panels[0].shown.map(({ e }) => scene.statuses[scene.edges.status[e]]); }"""
    drawn = root(graphs).evaluate(statuses)
    assert set(drawn) == {"vanished"}
    expect(chip).to_have_text(f"vanished {len(drawn)}")  # few enough here for all of them to be drawn
    least = graphs.get_by_role("slider", name="Smallest change")
    least.focus()
    for _ in range(30):
        least.press("ArrowRight")
    expect(graphs.get_by_text(re.compile("marks: sv_c[0-9]+"))).to_be_visible()
    smallest = Marks.from_text(told(graphs)).min_change
    changes = root(graphs).evaluate(
        "root => root.graphs.panels[0].shown.map(({ e }) => Math.abs(root.graphs.scene.edges.change[e]))"
    )
    assert 0 < len(changes) < len(drawn)
    assert min(changes) >= smallest > 0
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "false")
