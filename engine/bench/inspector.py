"""What a person waits for at the inspector: from a click on a feature until all that is known of it is on the page."""

from statistics import median

from engine.bench.row import BenchRow, at_most
from engine.bench.server import app_server, browser_page, wait_idle, wait_until_up
from engine.bench.setting import PROMPT, Setting

FEATURES = 12
FIRST_LOOK_MS = 180_000  # what is not bundled is looked up, and the first job loads torch

# The features that B keeps, the largest first.
ROWS = """() => {
  const inside = (host) => host.shadowRoot?.querySelector('.tl');
  window.tl = [...document.querySelectorAll('*')].map(inside).find(Boolean);
  const { nodes } = window.tl.graphs.scene;
  const rows = [...nodes.keys()].filter((row) => nodes[row].kind === 'feature' && nodes[row].kept & 2);
  return rows.sort((p, q) => nodes[q].b - nodes[p].b);
}"""

# From the click until its name, its facts and nothing unfinished are on the page.
SELECT = """async (row) => {
  const { graphs } = window.tl;
  const app = document.querySelector('[data-testid="stApp"]');
  const name = graphs.scene.nodes[row].label;
  const texts = (query) => [...document.querySelectorAll(query)].map((each) => each.innerText);
  const there = () =>
    app.getAttribute('data-test-script-state') === 'notRunning' &&
    texts('[data-testid="stMarkdownContainer"] strong').includes(name) &&
    texts('[data-testid="stCaptionContainer"]').some((text) => text.includes('active on'));
  const start = performance.now();
  graphs.select(row);
  while (!there()) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def measure(setting: Setting) -> list[BenchRow]:
    """Milliseconds from the click on one feature after another of the default comparison."""
    with browser_page() as page, app_server(setting.store.workspace) as server:
        wait_until_up(server)
        page.goto(f"{server.url}/compare?prompt={PROMPT.replace(' ', '+')}")
        page.wait_for_selector("canvas")
        wait_idle(page)
        first, *rows = page.evaluate(ROWS)[: FEATURES + 1]
        page.evaluate("row => window.tl.graphs.select(row)", first)
        page.get_by_text("active on").first.wait_for(timeout=FIRST_LOOK_MS)
        wait_idle(page)
        taken = [float(page.evaluate(SELECT, row)) for row in rows]
    return [at_most("inspector of a selected feature, once stored", median(taken), "ms", limit=300)]
