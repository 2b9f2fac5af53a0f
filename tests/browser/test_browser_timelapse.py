"""The time-lapse in a real browser: steps change what is there, never where; all of it without the server."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from engine.domain.diffs import STATUSES
from pages._ui.graphs.marks import Marks
from tests.browser.graph_page import choose, order, painted, root, told
from tests.figures.graph_app import STEPS, TRACED

pytestmark = pytest.mark.browser


@pytest.fixture
def timelapse(graph_app: str, page: Page) -> Page:
    page.goto(graph_app)
    expect(page.locator(".tl-stage")).to_have_count(2)
    choose(page, "timelapse")
    expect(slider(page)).to_be_visible()
    drawn(page, 300)
    return page


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Training step")


def drawn(page: Page, step: int) -> None:
    """Waits until the graphs of this step are drawn and at rest."""
    expect(root(page)).to_have_attribute("data-drawn", str(step))


def go_to(page: Page, step: int) -> None:
    """As a hand on the slider does."""
    slider(page).evaluate(
        "(range, step) => { range.value = step; range.dispatchEvent(new Event('input', { bubbles: true })); }", step
    )


def scene(page: Page) -> dict[str, Any]:
    return root(page).evaluate(
        """root => { const { scene, panels } = root.graphs; const to = root.graphs.project(panels[0]);
            return {
                places: scene.nodes.map((node) => [node.id, to.x(node.x), to.y(node.y)]),
                here: scene.nodes.filter((node) => node.kept).map((node) => node.id),
                title: scene.sides[0].title,
            }; }"""
    )


def runs(page: Page) -> int:
    return int(page.get_by_text("runs: ").inner_text().removeprefix("runs: "))


def test_a_step_changes_what_is_there_and_moves_nothing(timelapse: Page) -> None:
    before, pixels = scene(timelapse), painted(timelapse)
    go_to(timelapse, 60)
    drawn(timelapse, 60)
    after = scene(timelapse)
    assert after["places"] == before["places"]
    assert set(after["here"]) != set(before["here"])
    assert painted(timelapse) != pixels
    expect(timelapse.locator(".tl-title").first).to_have_text("A · one · step 60")
    expect(timelapse.locator(".tl-facts").first).to_contain_text("loss 1.70")
    expect(timelapse.locator(".tl-step")).to_have_text("step 60 of 300 (20%)")
    expect(slider(timelapse)).to_have_attribute("aria-valuetext", "step 60 of 300 (20%)")
    bars = timelapse.locator(".tl-bars").first.locator(".tl-token").all_inner_texts()
    go_to(timelapse, 200)
    drawn(timelapse, 200)
    assert timelapse.locator(".tl-bars").first.locator(".tl-token").all_inner_texts() == bars


def test_steps_go_without_the_server_and_are_told_when_the_hand_rests(timelapse: Page) -> None:
    before = runs(timelapse)
    slider(timelapse).evaluate(
        """(range, steps) => steps.forEach((step) => {
            range.value = step;
            range.dispatchEvent(new Event("input", { bubbles: true }));
        })""",
        [0, 10, 60, 105, 200],
    )
    drawn(timelapse, 200)
    expect(timelapse.get_by_text("marks: t200", exact=True)).to_be_visible()
    assert runs(timelapse) == before + 1  # one word for five steps


def said(page: Page) -> tuple[str, str]:
    """The sentence and the counts of the step that is shown."""
    return page.locator(".tl-sentence").inner_text(), page.locator(".tl-counts").inner_text()


def test_the_sentence_and_the_counts_follow_the_slider_without_the_server(timelapse: Page) -> None:
    """Also while it plays, and they are those of the graphs that are drawn."""
    before, told_by_step = runs(timelapse), {}
    for step in (0, 60, 200):
        go_to(timelapse, step)
        drawn(timelapse, step)
        told_by_step[step] = said(timelapse)
        counted = root(timelapse).evaluate(
            "root => root.graphs.scene.edges.status.reduce((n, s) => ({ ...n, [s]: (n[s] ?? 0) + 1 }), {})"
        )
        for place, n in counted.items():
            assert f"{n:,} {STATUSES[int(place)]}" in told_by_step[step][1]
    assert len(set(told_by_step.values())) == 3
    assert "Edges at base" in told_by_step[0][1]
    assert "Edges at step 200" in told_by_step[200][1]
    assert runs(timelapse) <= before + len(told_by_step)  # a word for each step at most: the hand rests between them
    go_to(timelapse, 0)
    timelapse.get_by_role("button", name="Play").click()
    expect(timelapse.locator(".tl-counts")).to_contain_text("Edges at step 60")
    drawn(timelapse, 60)
    assert said(timelapse) == told_by_step[60]


def test_a_step_that_is_not_traced_says_so(timelapse: Page) -> None:
    ticks = timelapse.locator(".tl-tick")
    expect(ticks).to_have_count(len(STEPS))
    expect(timelapse.locator(".tl-tick.tl-ready")).to_have_count(len(TRACED))
    go_to(timelapse, 150)
    drawn(timelapse, 105)
    expect(timelapse.locator(".tl-note")).to_have_text("step 150 is not traced yet; this is step 105")
    expect(slider(timelapse)).to_have_attribute("aria-valuetext", "step 150 of 300 (50%), not traced yet")
    assert int(slider(timelapse).input_value()) == 150


def test_keys_go_from_checkpoint_to_checkpoint(timelapse: Page) -> None:
    slider(timelapse).focus()
    timelapse.keyboard.press("Home")
    drawn(timelapse, 0)
    for step in STEPS[1:4]:
        timelapse.keyboard.press("ArrowRight")
        expect(slider(timelapse)).to_have_value(str(step))
    timelapse.keyboard.press("ArrowLeft")
    expect(slider(timelapse)).to_have_value(str(STEPS[2]))


def test_a_click_on_a_curve_moves_the_slider(timelapse: Page) -> None:
    point = timelapse.locator(".tl-point").nth(STEPS.index(60))
    point.click()
    drawn(timelapse, 60)
    expect(timelapse.locator(".tl-timelapsekeys")).to_contain_text("A one")
    expect(timelapse.locator(".tl-timelapsekeys")).to_contain_text("B two")
    curves = timelapse.locator(".tl-curves").get_attribute("aria-label")
    assert curves is not None
    assert "6 of 8 checkpoints are traced" in curves
    cursor = timelapse.locator(".tl-cursor").get_attribute("x1")
    assert cursor == point.get_attribute("cx")


def test_play_visits_the_traced_steps_and_stops_at_the_end(timelapse: Page) -> None:
    go_to(timelapse, 60)
    drawn(timelapse, 60)
    timelapse.evaluate("() => { window.seen = []; }")
    root(timelapse).evaluate(
        """root => new MutationObserver(() => root.dataset.drawn && window.seen.push(Number(root.dataset.drawn)))
            .observe(root, { attributes: true, attributeFilter: ["data-drawn"] })"""
    )
    expect(timelapse.get_by_text("marks: t60", exact=True)).to_be_visible()
    before = runs(timelapse)
    timelapse.get_by_role("button", name="Play").focus()
    timelapse.keyboard.press("Space")
    expect(timelapse.get_by_role("button", name="Pause")).to_be_visible()
    expect(timelapse.get_by_role("button", name="Play")).to_be_visible()
    drawn(timelapse, 300)
    seen = timelapse.evaluate("() => [...new Set(window.seen)]")
    assert [step for step in seen if step > 60] == [step for step in TRACED if step > 60]
    expect(timelapse.get_by_text("marks: t300", exact=True)).to_be_visible()
    assert runs(timelapse) == before + 1  # one word, at the end
    timelapse.get_by_role("button", name="Play").click()  # again, from the start
    drawn(timelapse, 0)
    timelapse.get_by_role("button", name="Pause").click()
    expect(timelapse.get_by_role("button", name="Play")).to_be_visible()


def test_python_sets_the_step(timelapse: Page) -> None:
    order(timelapse, Marks(step=10).to_text())
    drawn(timelapse, 10)
    expect(slider(timelapse)).to_have_value("10")
    assert Marks.from_text(told(timelapse)).step == 10


def test_a_selection_stays_through_the_steps(timelapse: Page) -> None:
    gone = root(timelapse).evaluate(
        """root => { const { graphs } = root; const [first, last] = [0, 300].map((step) => graphs.sceneAt(step));
            const goes = (node, row) => node.kept && node.kind === "feature" && !first.nodes[row].kept;
            const row = last.nodes.findIndex(goes);
            graphs.select(row); return last.nodes[row].id; }"""
    )
    go_to(timelapse, 0)
    drawn(timelapse, 0)
    assert root(timelapse).get_attribute("data-selected") == gone
    expect(timelapse.get_by_text(f"selected: {gone}")).to_be_visible()
    choose(timelapse, "overlay")
    expect(timelapse.locator(".tl-canvas")).to_have_count(1)
    drawn(timelapse, 0)
    assert painted(timelapse)[0] > 0.02


def test_no_motion_where_none_is_wanted(timelapse: Page) -> None:
    timelapse.emulate_media(reduced_motion="reduce")
    faded = root(timelapse).evaluate("root => { root.graphs.goTo(10); return Boolean(root.graphs.fade); }")
    assert faded is False
    drawn(timelapse, 10)
