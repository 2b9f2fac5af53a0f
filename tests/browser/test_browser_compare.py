"""Compare as a person uses it: another side, a click, a pin, a filter, play, ablate, a label; all in the address."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

from pages._ui.graphs.marks import Marks
from tests.browser.graph_page import data, edge_pixel, find, pixel, root

pytestmark = pytest.mark.browser
NewTab = Callable[[], Page]
FIRST_JOB_MS = 120_000  # the first job of a server's life loads torch
STORY = "compare?a=demo-lora@100%25&b=demo-tokens@100%25&prompt=the+cat+feels+blarf+and"


def marked(page: Page) -> Marks:
    """What the address keeps."""
    return Marks.from_text(parse_qs(urlparse(page.url).query).get("marks", [""])[0])


def settled(page: Page) -> None:
    expect(page.locator('[data-testid="stApp"]')).to_have_attribute("data-test-script-state", "notRunning")


@pytest.fixture
def compare(server: str, page: Page) -> Page:
    page.goto(f"{server}/{STORY}")
    expect(page.locator(".tl-stage")).to_have_count(2)
    expect(page.get_by_text("Edges from A to B")).to_be_visible()
    settled(page)
    return page


def pick(page: Page, side: int, kind: str) -> str:
    """Clicks the largest node of the kind; its id."""
    node = find(page, side, kind)
    page.mouse.click(*pixel(page, side, node))
    expect(root(page)).to_have_attribute("data-selected", node["id"])
    return str(node["id"])


def test_another_checkpoint_gives_other_graphs(compare: Page) -> None:
    expect(compare.locator(".tl-title").first).to_have_text("A · demo-lora · step 300")
    compare.get_by_role("combobox", name="checkpoint").first.click()
    compare.get_by_role("option", name="base").click()
    expect(compare).to_have_url(re.compile("a=demo-lora%40base"))
    expect(compare.get_by_text("Not traced yet")).to_be_visible()
    compare.get_by_role("combobox", name="B · run").click()
    compare.get_by_role("option", name="demo-lora").click()
    expect(compare.locator(".tl-title").first).to_have_text("A · demo-lora · base")
    expect(compare.locator(".tl-title").last).to_have_text("B · demo-lora · step 300")


def test_a_click_inspects_a_pin_stays_and_escape_lets_all_go(compare: Page) -> None:
    node = pick(compare, 1, "feature")
    expect(compare.get_by_role("tab", name="What it stands for")).to_be_visible()
    expect(compare.get_by_text(re.compile("· activation A [0-9.]+, B [0-9.]+"))).to_be_visible()
    expect(compare).to_have_url(re.compile("marks=nf"))
    assert marked(compare).selected == node
    other = find(compare, 0, "logit")
    compare.keyboard.down("Control")
    compare.mouse.click(*pixel(compare, 0, other))
    compare.keyboard.up("Control")
    expect(root(compare)).to_have_attribute("data-pins", other["id"])
    expect(compare).to_have_url(re.compile("_pl"))  # the address keeps the pin, too
    compare.reload()
    expect(root(compare)).to_have_attribute("data-selected", node)
    expect(root(compare)).to_have_attribute("data-pins", other["id"])
    expect(compare.get_by_role("tab", name="What it stands for")).to_be_visible()
    compare.locator(".tl-stage").first.focus()
    compare.keyboard.press("Escape")
    expect(compare.get_by_text("Edges from A to B")).to_be_visible()
    expect(compare).not_to_have_url(re.compile("marks="))
    assert data(compare, "pins") == ""


def test_the_overlay_filters_by_status(compare: Page) -> None:
    compare.get_by_role("radio", name="Overlay").or_(compare.get_by_text("Overlay", exact=True)).first.click()
    expect(compare.locator(".tl-stage")).to_have_count(1)
    chip = compare.get_by_role("button", name=re.compile("vanished"))
    chip.click()
    expect(compare).to_have_url(re.compile("marks=sv"))
    shown = root(compare).evaluate(
        "root => { const { scene, panels } = root.graphs;"
        " return panels[0].shown.map(({ e }) => scene.statuses[scene.edges.status[e]]); }"
    )
    assert set(shown) == {"vanished"}


def test_a_row_selects_its_edge_and_an_edge_is_inspected(compare: Page) -> None:
    table = compare.get_by_test_id("stDataFrame").first
    table.click(position={"x": 18, "y": 50})  # the box before the first row
    expect(root(compare)).to_have_attribute("data-edge", re.compile(r"\S+ \S+"))
    expect(compare.get_by_text(re.compile("^[A-Z][a-z]+ from A to B$")).last).to_be_visible()
    by_row = marked(compare).edge
    assert by_row is not None
    compare.get_by_role("button", name="All edges").click()
    expect(compare.get_by_text("Edges from A to B")).to_be_visible()
    drawn = edge_pixel(compare, 1)
    compare.mouse.move(*pixel(compare, 1, drawn))
    expect(compare.locator(".tl-tip").last).to_be_visible()
    compare.mouse.click(*pixel(compare, 1, drawn))
    expect(compare.get_by_role("button", name="All edges")).to_be_visible()
    expect(compare.get_by_text(re.compile("^[A-Z][a-z]+ from A to B$")).last).to_be_visible()
    assert marked(compare).edge is not None
    compare.get_by_role("button", name="All edges").click()  # of an edge that was clicked in the graph
    expect(compare.get_by_text("Edges from A to B")).to_be_visible()
    assert marked(compare).edge is None


def test_a_label_and_a_group_stay_and_are_shown_in_every_tab(compare: Page, new_tab: NewTab) -> None:
    node = pick(compare, 1, "feature")
    label = "happy <img src=x onerror=window.hacked=1>"
    compare.get_by_role("tab", name="Label and group").click()
    expect(compare.get_by_role("textbox", name="Label")).to_be_visible()
    expect(compare.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    compare.get_by_role("textbox", name="Label").fill(label)
    compare.get_by_role("textbox", name="Label").press("Enter")
    expect(compare.get_by_text(f"“{label}”").first).to_be_visible()
    compare.reload()
    expect(compare.get_by_text(f"“{label}”").first).to_be_visible()
    other = new_tab()
    other.goto(compare.url)
    expect(other.get_by_text(f"“{label}”").first).to_be_visible()
    assert data(other, "selected") == node
    assert compare.evaluate("() => window.hacked") is None
    compare.get_by_role("tab", name="Label and group").click()
    compare.get_by_role("textbox", name="Label").fill("")
    compare.keyboard.press("Enter")
    expect(compare.get_by_text(f"“{label}”")).to_have_count(0)


def test_ablating_a_feature_shows_both_sides_before_and_after(compare: Page) -> None:
    pick(compare, 1, "feature")
    compare.get_by_role("tab", name="Try it").click()
    compare.get_by_role("button", name="Ablate in A and B").click()
    expect(compare.get_by_text("outputs before and after").first).to_be_visible(timeout=FIRST_JOB_MS)
    expect(compare.get_by_text(re.compile("as the graph predicts it"))).to_be_visible()


def test_a_time_lapse_plays_over_all_checkpoints(compare: Page) -> None:
    compare.get_by_text("Time-lapse", exact=True).click()
    slider = compare.get_by_role("slider", name="Training step")
    expect(slider).to_be_visible()
    expect(root(compare)).to_have_count(1)
    ready = "root => Object.keys(root.graphs.timelapse.frames).length"
    for _ in range(120):  # the rest is traced meanwhile
        if root(compare).evaluate(ready) == 17:
            break
        compare.wait_for_timeout(1000)
    assert root(compare).evaluate(ready) == 17
    slider.focus()
    compare.keyboard.press("Home")
    expect(root(compare)).to_have_attribute("data-drawn", "0")
    compare.get_by_role("button", name=re.compile("^Play")).click()
    expect(root(compare)).to_have_attribute("data-drawn", "300", timeout=60_000)
    expect(compare).to_have_url(re.compile("marks=t300"))
    sentence, counts = compare.locator(".tl-sentence"), compare.locator(".tl-counts")
    at_the_end = sentence.inner_text(), counts.inner_text()
    expect(compare.get_by_text("Largest changes at step 300")).to_be_visible()
    slider.focus()
    compare.keyboard.press("Home")
    expect(counts).to_contain_text("Edges at base")
    assert (sentence.inner_text(), counts.inner_text()) != at_the_end
    # Above the table, once the slider is at rest; both runs begin with one base.
    title = compare.get_by_test_id("stMarkdownContainer").filter(has_text="Edges at base")
    expect(title).to_contain_text("A and B give the same answer to this prompt")
    expect(sentence).to_contain_text("A and B give the same answer to this prompt")
    compare.keyboard.press("End")
    compare.keyboard.press("ArrowLeft")
    expect(compare).to_have_url(re.compile("marks=t250"))
    expect(compare.get_by_text("Largest changes at step 250")).to_be_visible()
    expect(compare.locator(".tl-title").first).to_contain_text("demo-lora · step 250")
    said, counted = sentence.inner_text(), counts.inner_text().replace("Edges at step 250", "").split("\n")
    compare.get_by_role("button", name="Compare these two").click()  # a comparison of these checkpoints says the same
    expect(compare.get_by_text("Edges from A to B")).to_be_visible()
    expect(compare.get_by_text(said)).to_be_visible()
    for count in filter(None, counted):
        expect(compare.get_by_text(count, exact=True)).to_be_visible()


def test_many_prompts_become_one_circuit_and_one_can_be_stepped_into(server: str, page: Page) -> None:
    page.goto(f"{server}/compare?n=6&prompt=simple+mapping+·+inference+(40+prompts)")
    page.get_by_role("button", name=re.compile("Trace [0-9]+ prompts")).click()
    expect(page.get_by_text("Mean over 6 of 40 prompts")).to_be_visible(timeout=FIRST_JOB_MS)
    expect(page.locator(".tl-stage")).to_have_count(2)
    settled(page)
    expect(page.get_by_text("Mean over 6 of 40 prompts")).to_be_visible()
    expect(page.locator(".tl-bars").first.locator(".tl-token")).to_have_text(["right answer", "other answers"])
    page.get_by_test_id("stDataFrame").last.click(position={"x": 18, "y": 50})
    expect(page).to_have_url(re.compile("prompt=(?!simple)"))
    expect(page.get_by_text("Mean over")).to_have_count(0)
    expect(page.locator(".tl-stage")).to_have_count(2)


def prompt_box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Prompt")


def test_enter_takes_the_best_match_and_a_new_prompt_is_an_entry_of_its_own(compare: Page) -> None:
    prompt_box(compare).click()
    compare.keyboard.type("glide bird")
    compare.keyboard.press("Enter")
    expect(compare).to_have_url(re.compile(r"prompt=the\+bird\+that\+glide\+ends"))
    expect(prompt_box(compare)).to_have_value("the bird that glide ends")
    prompt_box(compare).click()
    compare.keyboard.type("the cat is gleem")
    options = compare.get_by_role("listbox", name="Prompts").get_by_role("option")
    expect(options.last).to_have_text("Use “the cat is gleem” as a new prompt")
    compare.keyboard.press("Escape")
    expect(prompt_box(compare)).to_have_value("the bird that glide ends")
    prompt_box(compare).click()
    compare.keyboard.type("the cat is gleem")
    compare.keyboard.press("ArrowUp")  # around to the last entry
    compare.keyboard.press("Enter")
    expect(compare).to_have_url(re.compile(r"prompt=the\+cat\+is\+gleem&"))
    expect(compare.get_by_text("Not traced yet")).to_be_visible()


def test_unknown_words_are_told_while_typing_and_known_ones_are_at_hand(compare: Page) -> None:
    address = compare.url
    prompt_box(compare).click()
    compare.keyboard.type("the <b>zorp</b> is ha")
    expect(compare.get_by_text("This model does not know “<b>zorp</b>”.")).to_be_visible()
    compare.keyboard.press("Enter")  # a prompt that the model cannot read is not taken
    assert compare.url == address
    nouns = compare.get_by_role("group", name="nouns")
    prompt_box(compare).fill("the ca")
    expect(compare.get_by_text("This model does not know")).to_have_count(0)
    nouns.get_by_text("cat", exact=True).click()
    expect(prompt_box(compare)).to_have_value("the cat ")
    compare.get_by_role("group", name="feelings").get_by_text("happy", exact=True).click()
    expect(prompt_box(compare)).to_have_value("the cat happy ")


def test_escape_lets_go_wherever_the_focus_is(compare: Page) -> None:
    pick(compare, 1, "feature")
    compare.get_by_role("button", name="Zoom in").focus()
    compare.keyboard.press("Escape")
    expect(root(compare)).to_have_attribute("data-selected", "")
    pick(compare, 1, "feature")
    compare.get_by_role("tab", name="Label and group").click()
    compare.keyboard.press("Escape")
    expect(root(compare)).to_have_attribute("data-selected", "")
    expect(compare.get_by_text("Edges from A to B")).to_be_visible()


@pytest.mark.parametrize("button", ["Show/hide columns", "Fullscreen"])
def test_escape_does_one_thing_at_a_time(compare: Page, button: str) -> None:
    """What a table has opened is closed, and what is picked stays; the next press clears it."""
    node = pick(compare, 1, "feature")
    compare.get_by_test_id("stDataFrame").first.hover()
    compare.get_by_role("button", name=button).first.click()
    opened = compare.locator('[data-testid="stDataFrameColumnVisibilityMenu"], button[aria-label="Close fullscreen"]')
    expect(opened.first).to_be_visible()
    compare.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(root(compare)).to_have_attribute("data-selected", node)
    compare.keyboard.press("Escape")
    expect(root(compare)).to_have_attribute("data-selected", "")
