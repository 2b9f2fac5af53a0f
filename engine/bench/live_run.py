"""The demo's live run, as Home starts it: 300 steps, captures, probes, through the job journal."""

import time

from engine.bench.row import BenchRow, at_most
from engine.bench.setting import CORPUS, Setting
from engine.domain.jobs import Train
from engine.domain.runs import RunConfig

EVERY = 25  # steps between captures


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of one run. One, not a median: it is long, and what a first visitor waits for is the first."""
    from engine.jobs import run_inline

    config = RunConfig(name="bench-live", corpus=CORPUS, capture_every=EVERY)
    start = time.perf_counter()
    run_inline(setting.store, Train(config=config), on_progress=lambda *_: None)
    return [at_most("the demo's live run", time.perf_counter() - start, "s", limit=60)]
