"""The linked graphs in a real browser: two canvases that move, mark and report together."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from pages._ui.graphs.marks import Marks
from tests.browser.graph_page import data, find, order, painted, pixel, root

pytestmark = pytest.mark.browser


def test_both_sides_are_drawn_and_described(graphs: Page) -> None:
    assert all(share > 0.02 for share in painted(graphs))
    expect(graphs.locator(".tl-title").first).to_have_text("A · run · base")
    expect(graphs.locator(".tl-facts").first).to_contain_text("loss 0.80 · replacement score")
    expect(graphs.locator(".tl-bar")).to_have_count(10)  # four tokens and all others, a side
    label = graphs.locator(".tl-stage").first.get_attribute("aria-label")
    assert label is not None
    assert "nodes" in label
    assert "most likely output" in label


def test_hover_shows_the_node_and_click_reaches_python_and_the_other_side(graphs: Page) -> None:
    node = find(graphs, 0, "feature")
    graphs.mouse.move(*pixel(graphs, 0, node))
    expect(graphs.locator(".tl-tip").first).to_contain_text(node["label"])
    graphs.mouse.click(*pixel(graphs, 0, node))
    expect(graphs.get_by_text(f"selected: {node['id']}")).to_be_visible()
    assert data(graphs, "selected") == node["id"]  # one selection, both panels draw it
    expect(graphs.locator(".tl-status")).to_contain_text(node["label"])

    box = graphs.locator(".tl-stage").first.bounding_box()
    assert box is not None
    graphs.mouse.click(box["x"] + 60, box["y"] + box["height"] - 3)
    expect(graphs.get_by_text("selected: None")).to_be_visible()


def test_pins_stay_until_escape(graphs: Page) -> None:
    first, second = find(graphs, 0, "feature"), find(graphs, 1, "logit")
    for side, node in ((0, first), (1, second)):
        graphs.keyboard.down("Control")
        graphs.mouse.click(*pixel(graphs, side, node))
        graphs.keyboard.up("Control")
    assert set(data(graphs, "pins").split()) == {first["id"], second["id"]}
    expect(graphs.get_by_text("selected: None")).to_be_visible()
    graphs.keyboard.press("Escape")
    assert data(graphs, "pins") == ""


def test_zoom_and_pan_move_both_sides(graphs: Page) -> None:
    box = graphs.locator(".tl-stage").nth(1).bounding_box()
    assert box is not None
    before = painted(graphs)
    graphs.mouse.move(box["x"] + 200, box["y"] + 150)
    graphs.mouse.wheel(0, -300)
    graphs.wait_for_timeout(200)
    zoomed = json.loads(data(graphs, "view"))
    assert zoomed["k"] > 1.2
    assert all(now != was for now, was in zip(painted(graphs), before, strict=True))
    graphs.mouse.down()
    graphs.mouse.move(box["x"] + 120, box["y"] + 130, steps=4)
    graphs.mouse.up()
    graphs.wait_for_timeout(200)
    panned = json.loads(data(graphs, "view"))
    assert panned["k"] == zoomed["k"]
    assert panned["cx"] > zoomed["cx"]
    expect(graphs.get_by_text("selected: None")).to_be_visible()  # a drag is no click
    graphs.get_by_role("button", name="Show all").click()
    graphs.wait_for_timeout(200)
    assert json.loads(data(graphs, "view"))["k"] == 1


def test_what_python_says_again_does_not_undo_the_zoom(graphs: Page) -> None:
    """The very first time too: a slow page answers after a quick hand has zoomed."""
    zoomed = root(graphs).evaluate(
        """root => {
          const { graphs } = root;
          const { places, ...rest } = graphs.payload;
          const { tall, ...frame } = places;
          const head = { mode: graphs.mode, height: 300, marks: {}, said: {}, annotations: graphs.annotations };
          graphs.update(head, { ...rest, places: frame });
          graphs.look({ ...graphs.view, k: 2 });
          graphs.update(head, graphs.payload);
          return graphs.view.k;
        }"""
    )
    assert zoomed == 2


def test_keys_alone_are_enough(graphs: Page) -> None:
    graphs.locator(".tl-stage").first.focus()
    graphs.keyboard.press("ArrowUp")
    graphs.keyboard.press("ArrowDown")
    graphs.keyboard.press("ArrowLeft")
    graphs.keyboard.press("Enter")
    expect(graphs.get_by_text("selected: None")).to_have_count(0)
    selected = data(graphs, "selected")
    expect(graphs.get_by_text(f"selected: {selected}")).to_be_visible()
    graphs.keyboard.press("p")
    assert data(graphs, "pins") == selected
    graphs.keyboard.press("Escape")
    expect(graphs.get_by_text("selected: None")).to_be_visible()


def test_new_data_updates_and_the_overlay_replaces(graphs: Page) -> None:
    before = painted(graphs)
    graphs.get_by_text("second", exact=True).click()
    graphs.wait_for_timeout(800)
    expect(graphs.locator(".tl-canvas")).to_have_count(2)
    assert painted(graphs) != before
    graphs.get_by_text("overlay", exact=True).click()
    expect(graphs.locator(".tl-canvas")).to_have_count(1)
    expect(graphs.locator(".tl-facts")).to_contain_text("orange: more in B")
    graphs.wait_for_timeout(200)
    assert painted(graphs)[0] > 0.02


def test_a_selection_goes_with_its_node(graphs: Page) -> None:
    graphs.get_by_text("large", exact=True).click()
    expect(graphs.get_by_text("edges 40000")).to_be_visible(timeout=60_000)
    graphs.wait_for_timeout(500)
    node = find(graphs, 0, "logit")  # the other graphs have outputs on another layer
    graphs.mouse.click(*pixel(graphs, 0, node))
    expect(graphs.get_by_text(f"selected: {node['id']}")).to_be_visible()
    graphs.get_by_text("first", exact=True).click()
    expect(graphs.get_by_text("selected: None")).to_be_visible()
    assert data(graphs, "selected") == ""


def test_markup_in_tokens_is_shown_as_text(graphs: Page) -> None:
    node = find(graphs, 0, "logit")
    for row in range(4):
        graphs.mouse.move(*pixel(graphs, row % 2, node))
    assert root(graphs).evaluate("element => element.getRootNode().querySelectorAll('img, script').length") == 0
    assert graphs.evaluate("() => window.hacked") is None


def test_search_rings_counts_and_walks_through_the_matches(graphs: Page) -> None:
    box = graphs.get_by_role("searchbox", name="Find nodes")
    found = "root => root.graphs.found.map((row) => root.graphs.scene.nodes[row].id)"
    box.fill("L2")
    layer = root(graphs).evaluate(found)
    assert layer
    assert all(name.split("/")[1] == "2" for name in layer)
    expect(graphs.locator(".tl-search .tl-count")).to_have_text(f"{len(layer)} found")
    index = layer[-1].split("/")[3]
    box.fill(f"L2 {index}")
    assert set(root(graphs).evaluate(found)) == {name for name in layer if name.endswith(f"/{index}")}
    box.fill("feels")
    words = root(graphs).evaluate(found)
    assert {"token", "logit"} <= {name.split("/")[0] for name in words}
    box.press("Enter")
    expect(graphs.get_by_text(f"selected: {words[0]}")).to_be_visible()
    box.press("Enter")
    expect(graphs.get_by_text(f"selected: {words[1]}")).to_be_visible()
    expect(graphs.locator(".tl-search .tl-count")).to_have_text(f"2 of {len(words)}")
    box.press("Shift+Enter")
    expect(graphs.get_by_text(f"selected: {words[0]}")).to_be_visible()
    box.fill("no such thing")
    expect(graphs.locator(".tl-search .tl-count")).to_have_text("no match")
    box.press("Escape")
    expect(box).to_have_value("")
    expect(graphs.get_by_text(f"selected: {words[0]}")).to_be_visible()  # Escape emptied the box, no more


def test_marks_go_to_python_and_come_back(graphs: Page) -> None:
    feature, output = find(graphs, 0, "feature")["id"], find(graphs, 1, "logit")["id"]
    wanted = Marks(selected=feature, pins=(output,), show="input", look=(2.5, 10.0, 2.0))
    order(graphs, wanted.to_text())
    expect(graphs.get_by_text(f"marks: {wanted.to_text()}", exact=True)).to_be_visible()
    assert data(graphs, "selected") == feature
    assert data(graphs, "pins") == output
    assert json.loads(data(graphs, "view"))["k"] == 2.5
    graphs.locator(".tl-stage").first.focus()
    graphs.keyboard.press("+")  # the hand comes to rest, then Python hears of it
    expect(graphs.get_by_text(re.compile(r"marks: .*_z350\."))).to_be_visible()
    order(graphs, "n no_such.node_e_t~~_z")
    expect(graphs.get_by_text("selected: None")).to_be_visible()
    assert json.loads(data(graphs, "view"))["k"] == 1


def test_an_echo_does_not_undo_what_came_after(graphs: Page) -> None:
    """Each click is told to Python, which says it back a moment later, when the next click has been made."""
    nodes = root(graphs).evaluate(
        "root => root.graphs.scene.nodes.filter((node) => node.kind === 'feature').map((node) => node.id).slice(0, 12)"
    )
    root(graphs).evaluate(
        """async (root, nodes) => {
            const drawn = root.graphs;
            for (const id of nodes) {
                root.graphs.select(root.graphs.scene.rowOf.get(id));
                await new Promise((done) => setTimeout(done, 40));
                if (root.dataset.selected !== id) throw new Error(`${id} was undone`);
                if (root.graphs !== drawn) throw new Error("drawn anew");
            }
        }""",
        nodes,
    )
    expect(graphs.get_by_text(f"selected: {nodes[-1]}")).to_be_visible()
    assert data(graphs, "selected") == nodes[-1]


def test_full_screen_by_button_and_key(graphs: Page) -> None:
    height = graphs.locator(".tl-stage").first.evaluate("stage => stage.clientHeight")
    button = graphs.get_by_role("button", name="Fill the screen")
    button.click()
    expect(root(graphs)).to_have_class(re.compile("tl-full"))
    expect(button).to_have_attribute("aria-pressed", "true")
    assert graphs.locator(".tl-stage").first.evaluate("stage => stage.clientHeight") > 1.4 * height
    assert all(share > 0.01 for share in painted(graphs))
    button.click()
    expect(root(graphs)).not_to_have_class(re.compile("tl-full"))
    graphs.locator(".tl-stage").first.focus()
    graphs.keyboard.press("f")
    expect(root(graphs)).to_have_class(re.compile("tl-full"))
    graphs.keyboard.press("Escape")
    expect(root(graphs)).not_to_have_class(re.compile("tl-full"))
    graphs.get_by_role("searchbox", name="Find nodes").fill("f")
    expect(root(graphs)).not_to_have_class(re.compile("tl-full"))


def test_labels_and_groups_are_shown_as_text(graphs: Page) -> None:
    graphs.get_by_text("notes", exact=True).click()
    graphs.wait_for_function(
        """() => [...document.querySelectorAll("*")].some((host) =>
            host.shadowRoot?.querySelector(".tl")?.graphs.scene.nodes.some((node) => node.note))"""
    )
    box = graphs.get_by_role("searchbox", name="Find nodes")
    box.fill("onerror")  # the label of one feature and a group's name have it, and a token
    box.press("Enter")
    status = graphs.locator(".tl-status")
    expect(status).to_contain_text("“<img src=x onerror=window.hacked=1>” (")
    for text in ("animals that feel", "happy"):
        box.fill(text)
        assert root(graphs).evaluate("root => root.graphs.found.length") >= 1
    noted = root(graphs).evaluate(
        """root => { const { scene, panels } = root.graphs; const to = root.graphs.project(panels[0]);
            const node = scene.nodes.find((each) => each.note && each.kept & 1);
            return { x: to.x(node.x), y: to.y(node.y), note: node.note }; }"""
    )
    graphs.mouse.move(*pixel(graphs, 0, noted))
    expect(graphs.locator(".tl-tip").first).to_contain_text(noted["note"])
    assert root(graphs).evaluate("element => element.getRootNode().querySelectorAll('img, script').length") == 0
    assert graphs.evaluate("() => window.hacked") is None


def test_automatic_labels_are_told_apart_found_and_explained(graphs: Page) -> None:
    graphs.get_by_text("notes", exact=True).click()
    graphs.wait_for_function(
        """() => [...document.querySelectorAll("*")].some((host) =>
            host.shadowRoot?.querySelector(".tl")?.graphs.scene.nodes.some((node) => node.measured))"""
    )
    notes = root(graphs).evaluate("root => root.graphs.scene.nodes.map((node) => [node.note, node.measured])")
    assert all(not measured for note, measured in notes if note == "joy")  # a person's takes the place
    expect(graphs.locator(".tl-italic")).to_have_text("active on → promotes")
    box = graphs.get_by_role("searchbox", name="Find nodes")
    box.fill("blarf3")
    assert root(graphs).evaluate("root => root.graphs.found.length") >= 1
    at = root(graphs).evaluate(
        """root => { const { scene, panels } = root.graphs; const to = root.graphs.project(panels[0]);
            const node = scene.nodes.find((each) => each.measured && each.kept & 1);
            return { x: to.x(node.x), y: to.y(node.y), index: node.index }; }"""
    )
    graphs.mouse.move(*pixel(graphs, 0, at))
    tip = graphs.locator(".tl-tip").first
    expect(tip).to_contain_text(f"→ happy ({at['index']})")
    expect(tip).to_contain_text("automatic (tokens it is most active on → tokens it promotes): blarf")
    assert graphs.evaluate("() => window.hacked") is None


def test_bars_have_a_place_of_their_own(graphs: Page) -> None:
    for stage, bars in zip(graphs.locator(".tl-stage").all(), graphs.locator(".tl-bars").all(), strict=True):
        above, below = bars.bounding_box(), stage.bounding_box()
        assert above is not None
        assert below is not None
        assert above["y"] + above["height"] <= below["y"]
    expect(graphs.locator(".tl-rest").first).to_have_text("all others")
    tokens = [panel.locator(".tl-token").all_inner_texts() for panel in graphs.locator(".tl-bars").all()]
    assert tokens[0] == tokens[1]  # one order on both sides


def test_a_large_graph_is_drawn_and_moves(graphs: Page) -> None:
    """How fast is measured by `python -m engine bench --only graphs`."""
    graphs.get_by_text("large", exact=True).click()
    expect(graphs.get_by_text("edges 40000")).to_be_visible(timeout=60_000)
    expect(root(graphs)).to_have_attribute("data-drawn", re.compile("."))
    graphs.wait_for_function("root => root.graphs.scene.edges.from.length === 40000", arg=root(graphs).element_handle())
    before = painted(graphs)
    assert min(before) > 0.02
    root(graphs).evaluate("root => root.graphs.look({ ...root.graphs.view, k: 2 })")
    expect(root(graphs)).to_have_attribute("data-view", re.compile('"k":2'))
    assert painted(graphs) != before


def test_a_change_of_theme_repaints_the_canvas(graphs: Page) -> None:
    node = find(graphs, 0, "token")
    middle = """(canvas, [x, y]) => {
        const ratio = canvas.width / canvas.clientWidth;
        return [...canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data];
    }"""
    canvas = graphs.locator(".tl-canvas").first
    assert canvas.evaluate(middle, [node["x"], node["y"]]) == [255, 255, 255, 255]
    graphs.emulate_media(color_scheme="dark")
    graphs.wait_for_timeout(800)
    assert max(canvas.evaluate(middle, [node["x"], node["y"]])[:3]) < 64
    assert all(share > 0.02 for share in painted(graphs))


def test_a_crowded_graph_is_drawn_higher_and_scrolls(graph_app: str, page: Page) -> None:
    """Both panels together; rows are at least as far apart as their nodes are high."""
    page.goto(graph_app)
    page.get_by_text("large", exact=True).click()
    expect(page.get_by_text("nodes 14")).to_be_visible()
    state = "root => { const { view, scene } = root.graphs; return [scene.places.tall, view.cy]; }"
    tall, top = root(page).evaluate(state)
    assert tall > 1
    stage = page.locator(".tl-stage").first
    stage.hover(position={"x": 60, "y": 60})
    page.mouse.wheel(0, 120)
    assert root(page).evaluate(state)[1] < top
    pitches = root(page).evaluate(
        "root => { const { scene, panels } = root.graphs; const to = root.graphs.project(panels[0]);"
        " return scene.nodes.map((node) => node.room * to.sy); }"
    )
    assert min(pitches) >= 8  # pixels between two rows of a cell
    seen = root(page).evaluate(state)[1]
    small = root(page).evaluate("root => root.graphs.mapOf(root.graphs.panels[0])")
    x, y = small["left"] + small["width"] / 2, small["top"] + small["height"] - 2
    stage.click(position={"x": x, "y": y})  # the small map's lower end leads down
    assert root(page).evaluate(state)[1] < seen
