"""Facts of a feature in a real browser: hostile tokens stay text, and the marker behind them is seen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import _served
from tests.pages.feature_app import HOSTILE

pytestmark = pytest.mark.browser
TABLE = ".tl-feature"


@pytest.fixture(scope="module")
def feature_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _served("tests/pages/feature_app.py", tmp_path_factory.mktemp("feature_app")) as address:
        yield address


def test_every_token_is_shown_as_text_and_nothing_of_it_runs(feature_app: str, page: Page) -> None:
    page.goto(feature_app)
    table = page.locator(TABLE)
    expect(table).to_have_count(1)
    chips = table.locator(".chip")
    # promoted alike in A and B: once; suppressed more strongly in B: on both sides
    expect(chips).to_have_count(3 * len(HOSTILE))
    shown = [text.rsplit(" ", 1)[0] for text in chips.all_inner_texts()]
    assert shown == [*HOSTILE] * 3
    tokens = table.locator("tbody tr").last.locator("td").first.locator(".k")
    assert tokens.all_inner_texts() == list(HOSTILE)
    assert table.locator("script, img, a, [onclick], [onerror]").count() == 0
    assert page.evaluate("window.hacked") is None
    expect(page.get_by_text("A · active on 3.1% of 1,000 tokens, at most 1.00")).to_be_visible()
    # a chart a side, with words for those who do not see it
    expect(page.get_by_label("Histogram of the activations: active on 3.1%")).to_have_count(2)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_stronger_activation_has_a_stronger_marker(feature_app: str, browser: Browser, theme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(feature_app)
    expect(page.locator(TABLE)).to_have_count(1)
    strengths = page.locator(f"{TABLE} td:nth-child(2) .k").evaluate_all(
        "spans => spans.map(span => getComputedStyle(span).backgroundColor.match(/[\\d.]+/g).map(Number)[3])"
    )
    assert strengths[0] == 0
    assert strengths == sorted(strengths)
    assert strengths[-1] == 0.5
    assert page.locator(f"{TABLE} .top").count() == 2
    context.close()
