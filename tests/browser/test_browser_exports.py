"""Exported files in a real browser, opened from disk: they draw, they answer, and they fetch and run nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.analysis.diff import diff_graphs
from engine.domain.diffs import GraphDiff
from engine.export import graph_html, graph_svg, run_report
from engine.export.exported_map import ExportedMap
from engine.export.map_page import map_html
from engine.export.scene import panel
from engine.figures.graph_view import pair_view
from engine.figures.map_view import carried_view
from engine.store import Store
from engine.workflows.queries import comparison_graphs
from tests.export.hostile import PROMPT, empty_diff, hostile_diff, view_of
from tests.figures.map_makers import pair

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
OpenFile = Callable[..., Page]
INK = """(side) => {
  const canvas = document.querySelector(`[data-side="${side}"] canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
  return n;
}"""


@pytest.fixture
def open_file(browser: Browser, tmp_path: Path) -> Iterator[OpenFile]:
    """Opens a text as a file of its own. After the test: only that file was read, nothing was said in the console."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url)
    )

    def open_(text: str, name: str = "page.html") -> Page:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(file.as_uri())
        return page

    yield open_
    context.close()
    assert said == []


@pytest.fixture
def story(demo_store: Store) -> GraphDiff:
    graphs = comparison_graphs(demo_store, "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    return diff_graphs(*graphs)


def drawn(page: Page) -> Page:
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    for side in ("a", "b", "overlay"):
        page.wait_for_function(f"({INK})('{side}') > 500")
    return page


def place_of(page: Page, panel: int, node: str) -> tuple[float, float]:
    """Where the node is on the screen."""
    found = page.evaluate(
        """([panel, node]) => {
          const { network, stage } = panels[panel];
          const box = stage.getBoundingClientRect();
          const at = network.canvasToDOM(network.getPosition(node));
          return [box.x + at.x, box.y + at.y];
        }""",
        [panel, node],
    )
    return found[0], found[1]


def test_a_click_selects_in_all_three_graphs_and_escape_clears(open_file: OpenFile, story: GraphDiff) -> None:
    page = drawn(open_file(graph_html(pair_view(story), story)))
    edge = story.edges[story.edges["kept_b"]].iloc[0]
    page.mouse.click(*place_of(page, 1, edge["source"]))
    expect(page.locator("#selected")).to_be_visible()
    expect(page.locator("#selected")).to_contain_text("Strongest outputs")
    assert page.evaluate("panels.map(({ network }) => network.getSelectedNodes())") == [[edge["source"]]] * 3
    shown = page.evaluate("panels[1].edges.get({ filter: (edge) => !edge.hidden && edge.color.opacity > 0.5 })")
    assert shown
    assert all(edge["source"] in (one["from"], one["to"]) for one in shown)
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_visible()
    assert page.evaluate("panels.map(({ network }) => network.getSelectedNodes().length)") == [0, 0, 0]


def test_nodes_stand_where_the_layout_puts_them_and_views_move_together(open_file: OpenFile, story: GraphDiff) -> None:
    page = drawn(open_file(graph_html(pair_view(story), story)))
    there = "(id) => panels.map(({ network }) => network.getPosition(id))"
    for node in story.nodes["id"].iloc[::25]:
        at = page.evaluate(there, node)
        wanted = page.evaluate("(id) => { const n = panels[0].nodes.get(id); return { x: n.x, y: n.y } }", node)
        for place in at:
            assert place == pytest.approx(wanted, abs=1)
    whole = page.evaluate("panels.map(({ network }) => network.getScale())")
    page.get_by_role("button", name="Zoom in").click()
    closer = page.evaluate("panels.map(({ network }) => network.getScale())")
    assert all(after > before for before, after in zip(whole, closer, strict=True))
    box = page.locator('[data-side="a"] .stage').bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 320, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 180, steps=4)
    page.mouse.up()
    centres = page.evaluate("panels.map(({ network }) => network.getViewPosition())")
    assert centres[1] == pytest.approx(centres[0], abs=1)
    assert centres[2] == pytest.approx(centres[0], abs=1)
    page.get_by_role("button", name="Fit").click()
    assert page.evaluate("panels.map(({ network }) => network.getScale())") == pytest.approx(whole)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_texts_do_nothing(open_file: OpenFile, theme: str) -> None:
    diff = hostile_diff()
    page = drawn(open_file(graph_html(view_of(diff), diff, theme=theme)))  # type: ignore[arg-type]  # both are themes
    expect(page.locator("h1")).to_contain_text(PROMPT.split("\x00")[0].strip())
    for node in ("token/-1/1/1", "token/-1/2/2", "token/-1/3/3"):
        x, y = place_of(page, 0, node)
        page.mouse.move(x, y)  # a tooltip
        tip = page.locator('[data-side="a"] .vis-tooltip')
        expect(tip).to_contain_text("token <")
        assert tip.locator(":not(br)").count() == 0  # text, no elements
        page.mouse.click(x, y)  # the details
        expect(page.locator("#selected-title")).to_contain_text("token <")
        page.mouse.move(5, 5)
    assert page.evaluate("window.hacked") is None


def test_graphs_without_edges_are_drawn(open_file: OpenFile) -> None:
    diff = empty_diff()
    page = open_file(graph_html(view_of(diff), diff))
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    expect(page.get_by_text("Nothing differs by more than")).to_be_visible()


def test_the_page_allows_no_script_but_its_own(browser: Browser, story: GraphDiff, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    smuggled = "<script>window.hacked = 1</script></main>"
    file.write_text(graph_html(pair_view(story), story).replace("</main>", smuggled), encoding="utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    drawn(page)
    assert page.evaluate("window.hacked") is None
    assert len(said) == 1
    assert "Content Security Policy" in said[0]
    page.close()


def test_pictures_have_the_geometry_of_the_apps_canvas(open_file: OpenFile, story: GraphDiff) -> None:
    """Places and sizes of all nodes, computed by the component's own code and by ours."""
    view = pair_view(story)
    page = open_file("<!DOCTYPE html><title>x</title>")
    page.add_script_tag(content=(ROOT / "assets" / "graph" / "scene.js").read_text(encoding="utf-8"))
    theirs = page.evaluate(
        """([payload, w, h]) => {
          const scene = makeScene(payload, 0, { labels: {}, supernodes: [] });
          const to = projection(scene.places, wholeView(scene.places), w, h);
          return scene.nodes.map((node) => [node.id, to.x(node.x), to.y(node.y), radius(scene, node, 1, to)]);
        }""",
        [view.payload(), 600, 300],
    )
    ours = {mark.id: mark for mark in panel(view, "b", theme="light", width=600, height=300).marks}
    for node, x, y, r in theirs:
        mark = ours[node]
        assert (mark.x, mark.y) == pytest.approx((x, y))
        if not mark.dashed:
            assert mark.r == pytest.approx(r)


def test_pictures_and_reports_are_drawn(open_file: OpenFile, story: GraphDiff, demo_store: Store) -> None:
    picture = open_file(graph_svg(pair_view(story)), "picture.svg")
    assert picture.evaluate("document.querySelectorAll('path').length") > 40
    report = open_file(run_report(demo_store, "demo-tokens"), "report.html")
    expect(report.get_by_role("heading", name="What changed inside")).to_be_visible()
    widths = report.evaluate(
        "[...document.querySelectorAll('figure svg')].map((svg) => svg.getBoundingClientRect().width)"
    )
    assert len(widths) == 6  # loss, curves, circuit change, what carries the answer, both graphs, the difference
    assert all(300 < width <= 900 for width in widths)
    assert report.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_map_is_read_without_the_app(open_file: OpenFile) -> None:
    view = carried_view([(None, pair(12, 16))], {})
    page = open_file(map_html(ExportedMap(view, "real@base", "real@100%", PROMPT, f"It says {PROMPT}.")))
    expect(page.locator("html")).to_have_attribute("data-drawn", "yes")
    page.locator(".tm-stage").nth(2).focus()
    page.keyboard.press("ArrowUp")  # the largest place first
    expect(page.locator(".tl-tip").nth(2)).to_contain_text("L0 · blarf")
    page.keyboard.press("Enter")
    expect(page.locator(".tl-status")).to_contain_text("L0 · blarf")
    assert page.evaluate("window.hacked") is None
