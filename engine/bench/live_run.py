"""The demo's live run, as Home starts it: training, its circuits traced beside the bundled run's, the comparison."""

import time

from engine.bench.row import BenchRow, at_most
from engine.bench.setting import Setting
from engine.demo.live import live_request


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of one run. One, not a median: it is long, and what a first visitor waits for is the first."""
    from engine.jobs import run_inline

    request = live_request(setting.store, "bench-live")
    start = time.perf_counter()
    run_inline(setting.store, request, on_progress=lambda *_: None)
    return [at_most("the demo's live run", time.perf_counter() - start, "s", limit=60)]
