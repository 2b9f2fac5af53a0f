"""What a visitor waits for: Home from a cold start, then Compare's default view, then a rerun of it."""

import time
from statistics import median
from typing import TYPE_CHECKING

from engine.bench.row import BenchRow, at_most, plain
from engine.bench.server import app_server, browser_page, wait_idle, wait_until_up
from engine.bench.setting import Setting

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 3  # cold starts
RERUNS = 7
COMPARE = "See what two runs learned"  # Home's button

# Times a rerun within the page: from the key press (R reruns) to the script's end.
WATCH = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const reset = () => { window.bench = {pressed: performance.now(), ran: false, took: 0}; };
  reset();
  document.addEventListener('keydown', reset, true);
  new MutationObserver(() => {
    const state = app.getAttribute('data-test-script-state');
    if (state === 'running') window.bench.ran = true;
    if (state === 'notRunning' && window.bench.ran && !window.bench.took)
      window.bench.took = performance.now() - window.bench.pressed;
  }).observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
}"""


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds to Home, seconds more to Compare, whether torch was loaded by then, milliseconds of a rerun.

    Home has answered when its words and buttons are on the screen; its figures and curves come after them.
    """
    homes, wholes, compares, reruns, torch_seen = [], [], [], [], 0
    for _ in range(ROUNDS):
        with browser_page() as page, app_server(setting.store.workspace) as server:
            wait_until_up(server)
            page.goto(server.url)
            page.wait_for_selector(f"button:has-text('{COMPARE}')")
            homes.append(time.perf_counter() - server.started)
            wait_idle(page)
            wholes.append(time.perf_counter() - server.started)
            clicked = time.perf_counter()
            page.click(f"button:has-text('{COMPARE}')")
            page.wait_for_selector("canvas")
            wait_idle(page)
            compares.append(time.perf_counter() - clicked)
            reruns += _reruns(page)
            torch_seen += server.loaded_torch()
    return [
        at_most("Home from a cold start", median(homes), "s", limit=3),
        plain("Home complete, with figures and curves", median(wholes), "s"),
        at_most("Compare's default view after it", median(compares), "s", limit=2),
        at_most("starts in which Home or Compare loaded torch", torch_seen, "starts", limit=0),
        at_most("rerun of Compare with stored graphs", median(reruns), "ms", limit=300),
    ]


def _reruns(page: "Page") -> list[float]:
    """Milliseconds of each of some reruns."""
    page.evaluate(WATCH)
    taken = []
    for _ in range(RERUNS):
        page.keyboard.press("r")
        page.wait_for_function("() => window.bench.took > 0")
        taken.append(float(page.evaluate("() => window.bench.took")))
    return taken
