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
def film(graph_app: str, page: Page) -> Page:
    page.goto(graph_app)
    expect(page.locator(".tl-stage")).to_have_count(2)
    choose(page, "film")
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


def test_a_step_changes_what_is_there_and_moves_nothing(film: Page) -> None:
    before, pixels = scene(film), painted(film)
    go_to(film, 60)
    drawn(film, 60)
    after = scene(film)
    assert after["places"] == before["places"]
    assert set(after["here"]) != set(before["here"])
    assert painted(film) != pixels
    expect(film.locator(".tl-title").first).to_have_text("A · one · step 60")
    expect(film.locator(".tl-facts").first).to_contain_text("loss 1.70")
    expect(film.locator(".tl-step")).to_have_text("step 60 of 300 (20%)")
    expect(slider(film)).to_have_attribute("aria-valuetext", "step 60 of 300 (20%)")
    bars = film.locator(".tl-bars").first.locator(".tl-token").all_inner_texts()
    go_to(film, 200)
    drawn(film, 200)
    assert film.locator(".tl-bars").first.locator(".tl-token").all_inner_texts() == bars


def test_steps_go_without_the_server_and_are_told_when_the_hand_rests(film: Page) -> None:
    before = runs(film)
    slider(film).evaluate(
        """(range, steps) => steps.forEach((step) => {
            range.value = step;
            range.dispatchEvent(new Event("input", { bubbles: true }));
        })""",
        [0, 10, 60, 105, 200],
    )
    drawn(film, 200)
    expect(film.get_by_text("marks: t200", exact=True)).to_be_visible()
    assert runs(film) == before + 1  # one word for five steps


def said(page: Page) -> tuple[str, str]:
    """The sentence and the counts of the step that is shown."""
    return page.locator(".tl-sentence").inner_text(), page.locator(".tl-counts").inner_text()


def test_the_sentence_and_the_counts_follow_the_slider_without_the_server(film: Page) -> None:
    """Also while it plays, and they are those of the graphs that are drawn."""
    before, told_by_step = runs(film), {}
    for step in (0, 60, 200):
        go_to(film, step)
        drawn(film, step)
        told_by_step[step] = said(film)
        counted = root(film).evaluate(
            "root => root.graphs.scene.edges.status.reduce((n, s) => ({ ...n, [s]: (n[s] ?? 0) + 1 }), {})"
        )
        for place, n in counted.items():
            assert f"{n:,} {STATUSES[int(place)]}" in told_by_step[step][1]
    assert len(set(told_by_step.values())) == 3
    assert "Edges at base" in told_by_step[0][1]
    assert "Edges at step 200" in told_by_step[200][1]
    assert runs(film) <= before + 1
    go_to(film, 0)
    film.get_by_role("button", name="Play").click()
    expect(film.locator(".tl-counts")).to_contain_text("Edges at step 60")
    drawn(film, 60)
    assert said(film) == told_by_step[60]


def test_a_step_that_is_not_traced_says_so(film: Page) -> None:
    ticks = film.locator(".tl-tick")
    expect(ticks).to_have_count(len(STEPS))
    expect(film.locator(".tl-tick.tl-ready")).to_have_count(len(TRACED))
    go_to(film, 150)
    drawn(film, 105)
    expect(film.locator(".tl-note")).to_have_text("step 150 is not traced yet; this is step 105")
    expect(slider(film)).to_have_attribute("aria-valuetext", "step 150 of 300 (50%), not traced yet")
    assert int(slider(film).input_value()) == 150


def test_keys_go_from_checkpoint_to_checkpoint(film: Page) -> None:
    slider(film).focus()
    film.keyboard.press("Home")
    drawn(film, 0)
    for step in STEPS[1:4]:
        film.keyboard.press("ArrowRight")
        expect(slider(film)).to_have_value(str(step))
    film.keyboard.press("ArrowLeft")
    expect(slider(film)).to_have_value(str(STEPS[2]))


def test_a_click_on_a_curve_moves_the_slider(film: Page) -> None:
    point = film.locator(".tl-point").nth(STEPS.index(60))
    point.click()
    drawn(film, 60)
    expect(film.locator(".tl-filmkeys")).to_contain_text("A one")
    expect(film.locator(".tl-filmkeys")).to_contain_text("B two")
    curves = film.locator(".tl-curves").get_attribute("aria-label")
    assert curves is not None
    assert "6 of 8 checkpoints are traced" in curves
    cursor = film.locator(".tl-cursor").get_attribute("x1")
    assert cursor == point.get_attribute("cx")


def test_play_visits_the_traced_steps_and_stops_at_the_end(film: Page) -> None:
    go_to(film, 60)
    drawn(film, 60)
    film.evaluate("() => { window.seen = []; }")
    root(film).evaluate(
        """root => new MutationObserver(() => root.dataset.drawn && window.seen.push(Number(root.dataset.drawn)))
            .observe(root, { attributes: true, attributeFilter: ["data-drawn"] })"""
    )
    expect(film.get_by_text("marks: t60", exact=True)).to_be_visible()
    before = runs(film)
    film.get_by_role("button", name="Play").focus()
    film.keyboard.press("Space")
    expect(film.get_by_role("button", name="Pause")).to_be_visible()
    expect(film.get_by_role("button", name="Play")).to_be_visible()
    drawn(film, 300)
    seen = film.evaluate("() => [...new Set(window.seen)]")
    assert [step for step in seen if step > 60] == [step for step in TRACED if step > 60]
    expect(film.get_by_text("marks: t300", exact=True)).to_be_visible()
    assert runs(film) == before + 1  # one word, at the end
    film.get_by_role("button", name="Play").click()  # again, from the start
    drawn(film, 0)
    film.get_by_role("button", name="Pause").click()
    expect(film.get_by_role("button", name="Play")).to_be_visible()


def test_python_sets_the_step(film: Page) -> None:
    order(film, Marks(step=10).to_text())
    drawn(film, 10)
    expect(slider(film)).to_have_value("10")
    assert Marks.from_text(told(film)).step == 10


def test_a_selection_stays_through_the_steps(film: Page) -> None:
    gone = root(film).evaluate(
        """root => { const { graphs } = root; const [first, last] = [0, 300].map((step) => graphs.sceneAt(step));
            const goes = (node, row) => node.kept && node.kind === "feature" && !first.nodes[row].kept;
            const row = last.nodes.findIndex(goes);
            graphs.select(row); return last.nodes[row].id; }"""
    )
    go_to(film, 0)
    drawn(film, 0)
    assert root(film).get_attribute("data-selected") == gone
    expect(film.get_by_text(f"selected: {gone}")).to_be_visible()
    choose(film, "overlay")
    expect(film.locator(".tl-canvas")).to_have_count(1)
    drawn(film, 0)
    assert painted(film)[0] > 0.02


def test_no_motion_where_none_is_wanted(film: Page) -> None:
    film.emulate_media(reduced_motion="reduce")
    faded = root(film).evaluate("root => { root.graphs.goTo(10); return Boolean(root.graphs.fade); }")
    assert faded is False
    drawn(film, 10)
