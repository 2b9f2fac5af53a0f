"""The Map on a page, as tests look at it."""

import re

from playwright.sync_api import Page, expect


def drawn(page: Page) -> None:
    expect(page.locator(".tm")).to_have_attribute("data-drawn", re.compile("."))
    expect(page.locator('[data-testid="stApp"]')).to_have_attribute("data-test-script-state", "notRunning")


def data(page: Page, name: str) -> str:
    return str(page.locator(".tm").evaluate(f"element => element.dataset.{name}"))


def pixel_of(page: Page, panel: int, row: int, column: int) -> tuple[float, float]:
    """The middle of a cell."""
    x, y = page.locator(".tm").evaluate(
        """(root, [number, row, column]) => {
            const panel = root.map.panels[number], box = panel.stage.getBoundingClientRect();
            return [box.left + panel.at.x(column), box.top + panel.at.y(row)];
        }""",
        [panel, row, column],
    )
    return x, y
