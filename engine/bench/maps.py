"""What a person waits for at the Map of a deep model: its comparison, the first drawing, a step of its slider.

Measured as the linked graphs are, in a real browser on a page with nothing but the component.
"""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from engine.analysis.diff import diff_graphs
from engine.bench.graphs import DRAW, ROUNDS, large_graphs
from engine.bench.row import BenchRow, at_most, plain
from engine.bench.server import app_server, browser_page, wait_idle, wait_until_up
from engine.bench.setting import ROOT, Setting
from engine.bench.timing import medians
from engine.domain.diffs import GraphDiff
from engine.domain.graphs import AttributionGraph
from engine.figures.map_view import MapView, carried_view

if TYPE_CHECKING:
    from playwright.sync_api import Page

N_LAYERS, N_POS, N_FEATURES, N_EDGES = 30, 20, 870, 150_000  # with errors, tokens and outputs 1,500 nodes
N_STEPS = 6
PAGE = ROOT / "assets" / "bench" / "map.py"

# From the slider's event until the step is drawn.
STEPS = """async () => {
  const { map } = window.tl;
  const frame = () => new Promise(requestAnimationFrame);
  const times = [];
  for (const step of map.payload.frames.keys()) {
    const start = performance.now();
    map.steps.range.value = step;
    map.steps.range.dispatchEvent(new Event('input'));
    while (map.number !== step) await frame();
    await frame();
    times.push(performance.now() - start);
  }
  return times;
}"""


def measure(setting: Setting) -> list[BenchRow]:
    """Milliseconds of each, and what is sent."""
    a, b = _graphs()
    (compared, laid_out) = medians((partial(diff_graphs, a, b), large_map), rounds=ROUNDS)
    folder = setting.folder / "map-view"
    folder.mkdir()
    script = Path(shutil.copy(PAGE, folder))
    with browser_page() as page, app_server(setting.store.workspace, script=script) as server:
        wait_until_up(server)
        first = median(_first_draw(page, server.url) for _ in range(ROUNDS))
        steps = page.evaluate(STEPS)
    title = f"{N_LAYERS} layers x {N_POS} tokens, 1,500 nodes, {N_EDGES:,} edges"
    return [
        plain(f"{title}: the comparison", 1e3 * compared, "ms"),
        plain(f"{title}: comparing and laying out {N_STEPS} checkpoints", 1e3 * laid_out, "ms"),
        at_most(f"{title}: first draw of the Map, from the click", first, "ms", limit=500),
        at_most(f"{title}: a step of the Map’s slider", median(steps[1:]), "ms", limit=150),
        plain(f"{title}: the Map of {N_STEPS} checkpoints is sent as", len(large_map().wire) / 1e6, "MB"),
    ]


def large_map() -> MapView:
    """Of a run with some checkpoints, that go from B's weights to A's in equal steps."""
    a, b = _graphs()
    diffs: list[tuple[int | None, GraphDiff]] = []
    for step in range(N_STEPS):
        share = (step + 1) / N_STEPS
        diffs.append((step, diff_graphs(a, replace(b, weight=a.weight + share * (b.weight - a.weight)))))
    return carried_view(diffs, {}, joined=False, taught="")


def _graphs() -> tuple[AttributionGraph, AttributionGraph]:
    return large_graphs(N_LAYERS, N_POS, N_FEATURES, N_EDGES)


def _first_draw(page: "Page", url: str) -> float:
    page.goto(url)
    page.wait_for_selector("button:has-text('map')")
    wait_idle(page)
    return float(page.evaluate(DRAW, "map"))
