"""Findings in a real browser: charts are drawn, questions lead down to their answers, files come out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from engine.domain.studies import Study
from engine.figures.finding_chart import finding_charts
from engine.store import Store
from engine.studies.findings import findings
from tests.browser.conftest import Watched, _served
from tests.browser.page_measures import WATCH_SHIFTS, shifts
from tests.studies.made_tables import SPEC, grid, tables

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def study() -> Study:
    made = findings(tables(grid()), SPEC, command="python -m engine study data/study.yaml")
    return Study(spec=SPEC, n_runs=30, findings=made)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Iterator[str]:
    """The address of the app with a study in its workspace."""
    folder = tmp_path_factory.mktemp("findings")
    Store(folder / "workspace", bundled=None).save_study(study, tables(grid()))
    with _served("app.py", folder) as address:
        yield address


def _open(page: Page, studied: str, study: Study) -> None:
    page.goto(f"{studied}/findings?study={study.spec.name}")
    expect(page.get_by_role("heading", name=study.findings[-1].question)).to_be_visible()


def _drawn(page: Page, study: Study) -> Locator:
    """The charts, once all of them have their height: until then what is below them moves."""
    n_charts = sum(len(finding_charts(finding)) for finding in study.findings)
    charts = page.locator('[data-testid="stVegaLiteChart"] svg.marks')
    expect(charts).to_have_count(n_charts)
    return charts


def test_charts_are_drawn_and_fit_the_page(studied: str, study: Study, page: Page) -> None:
    _open(page, studied, study)
    charts = _drawn(page, study)
    measure = "all => all.map((one) => one.getBoundingClientRect()).map((r) => [r.left, r.right, r.height])"
    for width in (1280, 1920):
        page.set_viewport_size({"width": width, "height": 720})
        page.wait_for_function("(w) => [...document.querySelectorAll('svg.marks')].every((one) => "
                               "one.getBoundingClientRect().right > 0.6 * w)", arg=width)  # fmt: skip
        for left, right, height in charts.evaluate_all(measure):
            assert height > 60
            assert 0.35 * width < left < right <= width  # to the right of the sentence
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_does_not_move_while_its_charts_are_drawn(studied: str, study: Study, page: Page) -> None:
    page.add_init_script(WATCH_SHIFTS)
    _open(page, studied, study)
    expect(page.get_by_test_id("stMainBlockContainer")).to_have_css("padding-left", "22.4px")  # theme.css is there
    expect(page.get_by_role("heading", name=study.findings[0].question)).to_be_visible()
    shifts(page)  # what Streamlit's own first frame moved
    _drawn(page, study)
    moved = shifts(page)
    assert sum(shift["value"] for shift in moved) < 0.05, moved


def test_a_question_on_top_leads_down_to_its_answer(studied: str, study: Study, page: Page) -> None:
    _open(page, studied, study)
    _drawn(page, study)
    finding = study.findings[6]
    page.get_by_role("link", name=finding.question).first.click()
    expect(page).to_have_url(re.compile(rf"study={study.spec.name}#{finding.key}$"))
    heading = page.get_by_role("heading", name=finding.question)
    expect(heading).to_be_in_viewport()


def test_the_figures_and_the_command_are_behind_an_expander(studied: str, study: Study, page: Page) -> None:
    _open(page, studied, study)
    page.get_by_text("Details", exact=True).first.click()
    expect(page.locator('[data-testid="stDataFrame"]').first).to_be_visible()
    expect(page.get_by_text(study.findings[0].command).first).to_be_visible()


def test_findings_and_tables_come_out_as_files(studied: str, study: Study, page: Page, tmp_path: Path) -> None:
    _open(page, studied, study)
    page.get_by_role("button", name="Export").click()
    for label, name in (("Findings (JSON)", "made-findings.json"), ("Runs (CSV)", "made-runs.csv")):
        with page.expect_download() as caught:
            page.get_by_role("button", name=label).click()
        assert caught.value.suggested_filename == name
        caught.value.save_as(tmp_path / name)
    given = json.loads((tmp_path / "made-findings.json").read_text(encoding="utf-8"))
    assert Study.model_validate(given) == study
    assert len((tmp_path / "made-runs.csv").read_text(encoding="utf-8").splitlines()) == 31


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_verdicts_can_be_read_on_both_backgrounds(studied: str, study: Study, watched: Watched, scheme: str) -> None:
    """WCAG's 4.5:1 for the letters of every badge."""
    page = watched.tab()
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # both are schemes
    _open(page, studied, study)
    ratios = page.locator("h3 .stMarkdownBadge").evaluate_all(CONTRAST)
    assert len(ratios) == len(study.findings)
    assert min(ratios) >= 4.5


CONTRAST = """(badges) => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, under) => {
    const a = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a));
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = parse(getComputedStyle(document.querySelector('[data-testid="stApp"]')).backgroundColor);
  return badges.map((badge) => {
    const style = getComputedStyle(badge);
    const ground = over(parse(style.backgroundColor), page);
    const [x, y] = [light(over(parse(style.color), ground)), light(ground)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  });
}"""
