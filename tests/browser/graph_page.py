"""What the browser tests ask of the linked graphs in a page."""

from typing import Any

from playwright.sync_api import Locator, Page, expect


def choose(page: Page, option: str) -> None:
    """Another graph or view of tests/figures/graph_app.py."""
    page.get_by_text(option, exact=True).click()
    expect(page.locator("[data-testid=stApp]")).to_have_attribute("data-test-script-state", "notRunning")


def order(page: Page, marks: str) -> None:
    """Marks as text, given by Python."""
    page.get_by_placeholder("marks as text").fill(marks)
    page.get_by_placeholder("marks as text").press("Enter")


def told(page: Page) -> str:
    """The marks as Python has them."""
    return str(page.get_by_text("marks: ").inner_text()).removeprefix("marks:").strip()


def root(page: Page) -> Locator:
    return page.locator(".tl")


def data(page: Page, name: str) -> str:
    return str(root(page).evaluate(f"element => element.dataset.{name}"))


def find(page: Page, side: int, kind: str) -> dict[str, Any]:
    """The node of this kind with the largest value on that side alone: id, label and its pixel in the stage."""
    return (
        page.locator(".tl-stage")
        .nth(side)
        .evaluate(
            """(stage, [side, kind]) => {
            const graphs = stage.getRootNode().querySelector(".tl").graphs;
            const { scene, view, panels } = graphs;
            const to = graphs.project(panels[side]);
            const value = (node) => (side ? node.b : node.a);
            const nodes = scene.nodes.filter((node) => node.kind === kind && node.kept & (side + 1));
            nodes.sort((p, q) => value(q) - value(p));
            const node = nodes[0];
            const said = node.measured ? node.note : `“${node.note}”`;
            const label = node.note ? `L${node.layer} · ${node.token} · ${said} (${node.index})` : node.label;
            return { id: node.id, label, x: to.x(node.x), y: to.y(node.y) };
        }""",
            [side, kind],
        )
    )


def pixel(page: Page, side: int, node: dict[str, Any]) -> tuple[float, float]:
    box = page.locator(".tl-stage").nth(side).bounding_box()
    assert box is not None
    return box["x"] + node["x"], box["y"] + node["y"]


def painted(page: Page) -> list[float]:
    """The share of each canvas that has colour."""
    return page.locator(".tl-canvas").evaluate_all(
        """canvases => canvases.map((canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
            return (4 * count) / data.length;
        })"""
    )


def edge_pixel(page: Page, side: int) -> dict[str, Any]:
    """A pixel on a drawn edge of that side, away from nodes and other edges, and the ids of its ends."""
    return (
        page.locator(".tl-stage")
        .nth(side)
        .evaluate(
            """(stage, side) => {
            const graphs = stage.getRootNode().querySelector(".tl").graphs;
            const { scene, panels } = graphs;
            const to = graphs.project(panels[side]);
            const passes = (e, x, y) => {
                const [from, target] = [scene.nodes[scene.edges.from[e]], scene.nodes[scene.edges.to[e]]];
                const [x1, y1, x2, y2] = [to.x(from.x), to.y(from.y), to.x(target.x), to.y(target.y)];
                return [...Array(101).keys()].some((step) => {
                    const t = step / 100, s = t * t * (3 - 2 * t); // handles straight above and below the ends
                    const bend = (3 * (1 - t) * (1 - t) * t - 3 * (1 - t) * t * t) * 0.5;
                    return Math.hypot(x1 + (x2 - x1) * s - x, y1 + (y2 - y1) * (s + bend) - y) < 3;
                });
            };
            for (const { e } of [...panels[side].shown].reverse()) {
                const from = scene.nodes[scene.edges.from[e]], target = scene.nodes[scene.edges.to[e]];
                const [x1, y1, x2, y2] = [to.x(from.x), to.y(from.y), to.x(target.x), to.y(target.y)];
                const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2]; // where the curve is half way
                const near = (node) => node.kept && Math.hypot(to.x(node.x) - x, to.y(node.y) - y) < 14;
                const alone = panels[side].shown.every((other) => other.e === e || !passes(other.e, x, y));
                if (alone && !scene.nodes.some(near))
                    return { from: from.id, to: target.id, x, y };
            }
            return null;
        }""",
            side,
        )
    )
