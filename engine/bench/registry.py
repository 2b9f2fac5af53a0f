"""The measures by name. A new one is a file with a function and a line here."""

from collections.abc import Callable, Sequence

from engine.bench import app, live_run, memory, swap, tracing, training
from engine.bench.row import BenchRow
from engine.bench.setting import Setting, throw_away
from engine.domain.errors import NotFound
from engine.domain.jobs import Report

MEASURES: dict[str, Callable[[Setting], list[BenchRow]]] = {
    "swap": swap.measure,
    "trace": tracing.measure,
    "train": training.measure,
    "live-run": live_run.measure,
    "app": app.measure,
    "memory": memory.measure,
}


def measure(only: Sequence[str], report: Report) -> list[BenchRow]:
    """The rows of the named measures, of all where none is named. Raises NotFound."""
    for name in only:
        if name not in MEASURES:
            raise NotFound("measure", name, tuple(MEASURES))
    chosen = [name for name in MEASURES if not only or name in only]
    rows: list[BenchRow] = []
    with throw_away() as setting:
        for done, name in enumerate(chosen):
            report(done / len(chosen), f"measuring {name}")
            rows += MEASURES[name](setting)
    report(1.0, "measured")
    return rows
