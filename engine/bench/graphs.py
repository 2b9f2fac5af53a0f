"""What a person waits for at the linked graphs: the first drawing, a pan, a step of a time-lapse.

Measured in a real browser on a page with nothing but the component, from the click to the picture: the server's run,
the way through the socket and the drawing are all in it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from itertools import permutations
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.diff import diff_everything, diff_graphs
from engine.bench.row import BenchRow, at_least, at_most, plain
from engine.bench.server import app_server, browser_page, wait_idle, wait_until_up
from engine.bench.setting import PROMPT, ROOT, RUN_A, Setting
from engine.domain.diffs import GraphDiff
from engine.domain.graphs import AttributionGraph, Fit, GraphKey, NodeKind
from engine.domain.timelapse import Moment
from engine.figures.graph_view import GraphView, pair_view
from engine.figures.timelapse_view import TimelapseView, timelapse_view
from engine.workflows.queries import comparison_graphs, run_scores

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 5
N_LAYERS, N_POS, N_FEATURES, N_EDGES = 6, 8, 1_434, 40_000  # with errors, tokens and outputs 1,500 nodes
PAN_S = 2.0

PAGE = ROOT / "assets" / "bench" / "graphs.py"

# From the click on a button to the picture of that view.
DRAW = """async (name) => {
  const frame = () => new Promise(requestAnimationFrame);
  const inside = (host) => host.shadowRoot?.querySelector('.tl');
  const find = () => [...document.querySelectorAll('*')].map(inside).find(Boolean);
  const button = [...document.querySelectorAll('button')].find((each) => each.innerText.trim() === name);
  const start = performance.now();
  button.click();
  while (!find()?.dataset.drawn) await frame();
  await frame();
  const took = performance.now() - start;
  window.tl = find();
  return took;
}"""

# The worst case: the output that most edges run to is selected, so that all of those are drawn too.
PAN = """async (seconds) => {
  const { graphs } = window.tl;
  const edges = graphs.scene.atNode.map((at) => at.length);
  graphs.select(edges.indexOf(Math.max(...edges)));
  graphs.look({ ...graphs.view, k: 1.5 });
  const frame = () => new Promise(requestAnimationFrame);
  const start = performance.now();
  let frames = 0;
  while (performance.now() - start < 1000 * seconds) {
    graphs.look({ ...graphs.view, cx: graphs.view.cx + (frames % 60 < 30 ? 0.2 : -0.2) });
    await frame();
    frames++;
  }
  return (1000 * frames) / (performance.now() - start);
}"""

# From the slider's event until the new step is drawn and at rest, its soft transition included.
STEPS = """async () => {
  const { graphs } = window.tl;
  const frame = () => new Promise(requestAnimationFrame);
  const range = graphs.timeline.range;
  const times = [];
  for (const { step } of graphs.timelapse.moments) {
    const start = performance.now();
    range.value = step;
    range.dispatchEvent(new Event('input'));
    while (window.tl.dataset.drawn !== String(step)) await frame();
    times.push(performance.now() - start);
  }
  return times;
}"""


def measure(setting: Setting) -> list[BenchRow]:
    """First drawings of a bundled pair and of a large graph, frames a second while panning, a step of a time-lapse."""
    folder = setting.folder / "graph-views"
    pairs = _bundled(setting)
    views: dict[str, GraphView | TimelapseView] = {
        "demo": pair_view(pairs[0]), "timelapse": _timelapse_payload(setting, pairs), "large": pair_view(large_diff()),
    }  # fmt: skip
    script = _write_page(folder, views)
    with browser_page() as page, app_server(setting.store.workspace, script=script) as server:
        wait_until_up(server)
        demo, large = _first_draw(page, server.url, "demo"), _first_draw(page, server.url, "large")
        frames = float(page.evaluate(PAN, PAN_S))
        _first_draw(page, server.url, "timelapse")
        steps = page.evaluate(STEPS)
    timelapse = views["timelapse"]
    return [
        at_most("first draw of a demo pair, from the click", demo, "ms", limit=500),
        at_most("1,500 nodes, 40,000 edges: first draw, from the click", large, "ms", limit=2_000),
        at_least("1,500 nodes, 40,000 edges: panning", frames, "frames/s", limit=30),
        at_most("time-lapse step, stored graphs, to rest", median(steps[1:]), "ms", limit=150),
        plain(f"a time-lapse of {len(steps)} steps is sent as", len(timelapse.wire) / 1e6, "MB"),
    ]


def _first_draw(page: "Page", url: str, name: str) -> float:
    """Median milliseconds over some visits: a browser that has been sent a graph before need not get it again."""
    taken = []
    for _ in range(ROUNDS):
        page.goto(url)
        page.wait_for_selector(f"button:has-text('{name}')")
        wait_idle(page)
        taken.append(float(page.evaluate(DRAW, name)))
        wait_idle(page)
    return median(taken)


def _write_page(folder: Path, views: Mapping[str, GraphView | TimelapseView]) -> Path:
    folder.mkdir()
    for name, view in views.items():
        (folder / f"{name}.json").write_text(json.dumps(asdict(view)), encoding="utf-8")
    return Path(shutil.copy(PAGE, folder))


def _bundled(setting: Setting) -> list[GraphDiff]:
    """Differences of the graphs that come with the demo, on one prompt, each pair in both directions."""
    diffs = []
    for stored in setting.store.comparisons():
        if stored.key.prompt == PROMPT:
            found = comparison_graphs(setting.store, stored.key.a, stored.key.b, PROMPT)
            diffs += [diff_graphs(*pair) for pair in permutations(found or (), 2)]
    return diffs


def _timelapse_payload(setting: Setting, pairs: list[GraphDiff]) -> TimelapseView:
    """As many steps as the bundled run has, of the bundled graphs in turn."""
    steps = [checkpoint.step for checkpoint in setting.store.checkpoints(RUN_A)]
    moments = [Moment(step, f"{RUN_A}@step{step}", f"{RUN_A}@step{step}") for step in steps]
    diffs = {step: pairs[place % len(pairs)] for place, step in enumerate(steps)}
    return timelapse_view(moments, diffs, {RUN_A: run_scores(setting.store, RUN_A)})


def large_diff() -> GraphDiff:
    """1,500 nodes and 40,000 edges at random, upward and never back in position; B's weights are others."""
    return diff_everything(*large_graphs(N_LAYERS, N_POS, N_FEATURES, N_EDGES))


def large_graphs(n_layers: int, n_pos: int, n_features: int, n_edges: int) -> tuple[AttributionGraph, AttributionGraph]:
    """The same nodes and edges twice, with weights at random."""
    rng = np.random.default_rng(0)
    cells = np.sort(rng.choice(n_layers * n_pos * 100, n_features, replace=False))
    features = np.stack([np.zeros_like(cells), cells // (n_pos * 100), cells // 100 % n_pos, cells % 100], axis=1)
    errors = [(NodeKind.ERROR, layer, position, 0) for layer in range(n_layers) for position in range(n_pos)]
    tokens = [(NodeKind.TOKEN, -1, position, position) for position in range(n_pos)]
    logits = [(NodeKind.LOGIT, n_layers, n_pos - 1, token) for token in range(10)]
    nodes = np.concatenate([features, np.array([*errors, *tokens, *logits])])
    source, target = np.unique(rng.integers(0, len(nodes), (12 * n_edges, 2)), axis=0).T
    kind, layer, position = nodes[:, 0], nodes[:, 1], nodes[:, 2]
    upward = (layer[source] < layer[target]) & (position[source] <= position[target])
    taken = np.isin(kind[target], (NodeKind.FEATURE, NodeKind.LOGIT))
    edges = rng.permutation(np.flatnonzero(upward & taken))[:n_edges]
    weights = (rng.normal(size=len(edges)) ** 3 for _ in "ab")
    a, b = (_graph(nodes, n_layers, n_pos, source[edges], target[edges], weight) for weight in weights)
    return a, b


def _graph(
    nodes: np.ndarray, n_layers: int, n_pos: int, source: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> AttributionGraph:
    return AttributionGraph(
        key=GraphKey(
            checkpoint="large@base", checkpoint_hash="0" * 16, prompt="large", transcoders="large",
            transcoders_hash="0" * 16,
        ),
        kind=nodes[:, 0].astype(np.uint8), layer=nodes[:, 1].astype(np.int32), position=nodes[:, 2].astype(np.int32),
        index=nodes[:, 3].astype(np.int64), activation=np.ones(len(nodes), dtype=np.float32),
        source=source.astype(np.int32),
        target=target.astype(np.int32), weight=weight.astype(np.float32), n_layers=n_layers,
        tokens=tuple(f"word{position}" for position in range(n_pos)), token_ids=np.arange(n_pos, dtype=np.int64),
        target_tokens=tuple(f"out{token}" for token in range(10)),
        target_probability=np.full(10, 0.09, dtype=np.float32), target_logit=np.zeros(10, dtype=np.float32),
        fit=Fit(replacement=0.9, completeness=0.9, error_share=0.1),
    )  # fmt: skip
