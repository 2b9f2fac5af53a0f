"""A step of circuit-tuning beside a step of LoRA, on the bundled model, as a run takes them."""

import itertools
import time
from statistics import median
from typing import TYPE_CHECKING

from engine.bench.row import BenchRow, not_slower
from engine.bench.setting import CORPUS, Setting
from engine.domain.jobs import NeverCanceled
from engine.domain.methods import MethodSettings
from engine.domain.runs import RunConfig

if TYPE_CHECKING:
    from engine.store import Store

FIRST, LAST = 16, 48  # steps between which is timed: whole intervals, and no capture among them
ROUNDS = 3
TIMES = {1: 4.0, 16: 1.5}  # interval of discovery -> what it may cost, in LoRA steps


def measure(setting: Setting) -> list[BenchRow]:
    """Milliseconds of a step at each interval of discovery, and of LoRA's; in turns, medians over the rounds."""
    names = (f"bench-tuning-{turn}" for turn in itertools.count())
    kinds: dict[int, tuple[str, MethodSettings]] = {0: ("lora", MethodSettings())}
    kinds |= {every: ("circuit_tuning", MethodSettings(discover_every=every)) for every in TIMES}
    taken: dict[int, list[float]] = {every: [] for every in kinds}
    for _ in range(ROUNDS):
        for every, (method, settings) in kinds.items():
            config = RunConfig(
                name=next(names), corpus=CORPUS, method=method, n_steps=LAST + 1, capture=(), method_settings=settings
            )
            taken[every].append(1000 * _step_s(setting.store, config))
    lora = median(taken[0])
    return [
        not_slower(f"circuit-tuning's step, circuit found {_often(every)}", median(taken[every]), "ms",
                   than=lora, times=times)
        for every, times in TIMES.items()
    ]  # fmt: skip


def _often(every: int) -> str:
    return "at every step" if every == 1 else f"every {every} steps"


def _step_s(store: "Store", config: RunConfig) -> float:
    """Mean seconds of the run's steps from FIRST to LAST."""
    from engine.training.fine_tune import fine_tune

    at: dict[int, float] = {}

    def note(fraction: float, message: str) -> None:
        at[round(fraction * config.n_steps)] = time.perf_counter()

    fine_tune(store, config, note, NeverCanceled())
    return (at[LAST] - at[FIRST]) / (LAST - FIRST)
