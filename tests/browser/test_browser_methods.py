"""Methods in a real browser: the page fits, a figure leads to its runs, a dot and a row open theirs."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from engine.domain.studies import Grid, Study, StudySpec
from engine.store import Store
from tests.browser.conftest import _served
from tests.studies.made_methods import CORPORA, method_tables

pytestmark = pytest.mark.browser
SPEC = StudySpec(name="methods", asks="methods", grids=(Grid(corpora=CORPORA, seeds=(0, 1, 2)),))
ROW = 35  # pixels of a table's row


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app with a study of methods in its workspace."""
    folder = tmp_path_factory.mktemp("methods")
    made = method_tables(n_seeds=3)
    Store(folder / "workspace", bundled=None).save_study(Study(spec=SPEC, n_runs=len(made.runs)), made)
    with _served("app.py", folder) as address:
        yield address


def opened(page: Page, compared: str) -> None:
    page.goto(f"{compared}/methods?from=methods")
    expect(page.locator('[data-testid="stVegaLiteChart"] svg.marks')).to_have_count(4 + 1)


def test_everything_fits_the_page(compared: str, page: Page) -> None:
    opened(page, compared)
    charts = page.locator('[data-testid="stVegaLiteChart"] svg.marks')
    lefts, rights = zip(*charts.evaluate_all(EDGES), strict=True)
    assert len(set(lefts[:4])) == 4  # beside each other
    assert 1200 < max(rights) <= 1280
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function("() => [...document.querySelectorAll('svg.marks')].some((one) => one.clientWidth > 1500)")
    assert 1700 < max(right for _, right in charts.evaluate_all(EDGES)) <= 1920
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


EDGES = "all => all.map((one) => one.getBoundingClientRect()).map((r) => [r.left, r.right])"


def test_a_figure_of_the_table_shows_its_runs(compared: str, page: Page) -> None:
    opened(page, compared)
    table = page.locator('[data-testid="stDataFrame"]').first
    box = table.bounding_box()
    assert box is not None
    table.click(position={"x": box["width"] * 0.3, "y": 2.5 * ROW})  # second row, second column
    expect(page.get_by_text(re.compile(r"Runs of .+ on mul-div"))).to_be_visible()


def test_a_dot_and_a_row_open_their_runs(compared: str, page: Page) -> None:
    opened(page, compared)
    last_task = page.locator('[data-testid="stVegaLiteChart"] svg.marks').nth(3)  # the fifth is the legend
    last_task.locator('path[aria-roledescription="point"]').last.click(force=True)
    expect(page).to_have_url(re.compile(r"run=demo-"))
    expect(
        page.get_by_text("no longer part of the study").or_(page.get_by_text("A study keeps the figures"))
    ).to_be_visible()
    rows = page.locator('[data-testid="stDataFrame"]').nth(1)
    rows.scroll_into_view_if_needed()
    rows.click(position={"x": 18, "y": 1.5 * ROW})
    expect(page).to_have_url(re.compile(r"run=add-sub-lora-s0"))
    expect(page.get_by_text("python -m engine train --name add-sub-lora-s0")).to_be_visible()
