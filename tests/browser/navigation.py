"""The bar across the top: pages stand in it, or in one of its menus."""

from playwright.sync_api import Page

from pages._ui.frame import MENUS


def visit(page: Page, title: str) -> None:
    """As a visitor goes to the page of this title."""
    menu = next(name for name, pages in MENUS.items() if title in pages.values())
    if not menu:
        page.get_by_test_id("stTopNav").get_by_role("link", name=title, exact=True).click()
        return
    page.get_by_test_id("stTopNav").get_by_role("button", name=menu).click()
    page.get_by_role("menuitem", name=title, exact=True).click()
