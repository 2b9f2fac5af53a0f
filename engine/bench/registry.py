"""The measures by name. A new one is a file with a function and a line here."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.bench import (
    analysis,
    app,
    circuits,
    component_scores,
    first_trace,
    gpu,
    graphs,
    inspector,
    large_graph,
    live_run,
    maps,
    memory,
    predicted,
    rankings,
    rankings_real,
    reading,
    real,
    stored_measures,
    swap,
    taught,
    tracing,
    training,
    transcoder_step,
    tuning_step,
    where,
)
from engine.bench.ranked import RankedPrompt
from engine.bench.row import BenchRow
from engine.bench.setting import Setting, throw_away
from engine.domain.errors import NotFound
from engine.domain.jobs import Report

logger = logging.getLogger(__name__)

MEASURES: dict[str, Callable[[Setting], list[BenchRow]]] = {
    "swap": swap.measure,
    "trace": tracing.measure,
    "where": where.measure,
    "rankings": rankings.measure,
    "predicted": predicted.measure,
    "taught": taught.measure,
    "rankings-real": rankings_real.measure,
    "first-trace": first_trace.measure,
    "train": training.measure,
    "live-run": live_run.measure,
    "reading": reading.measure,
    "app": app.measure,
    "analysis": analysis.measure,
    "large-graph": large_graph.measure,
    "stored": stored_measures.measure,
    "circuits": circuits.measure,
    "component-scores": component_scores.measure,
    "graphs": graphs.measure,
    "map": maps.measure,
    "inspector": inspector.measure,
    "memory": memory.measure,
    "tuning-step": tuning_step.measure,
    "transcoder-step": transcoder_step.measure,
    "gpu": gpu.measure,
    "real": real.measure,
}


@dataclass(frozen=True)
class BenchResult:
    """Rows of the measures that could be made, and why the others could not, by name."""

    rows: tuple[BenchRow, ...]
    failures: dict[str, str]
    ranked: tuple[RankedPrompt, ...] = ()


def measure(only: Sequence[str], report: Report) -> BenchResult:
    """The rows of the named measures, of all where none is named. Raises NotFound."""
    for name in only:
        if name not in MEASURES:
            raise NotFound("measure", name, tuple(MEASURES))
    chosen = [name for name in MEASURES if not only or name in only]
    rows: list[BenchRow] = []
    failures: dict[str, str] = {}
    with throw_away() as setting:
        for done, name in enumerate(chosen):
            report(done / len(chosen), f"measuring {name}")
            try:
                rows += MEASURES[name](setting)
            except Exception as error:  # one that fails must not cost minutes of the others
                logger.debug("measuring %s", name, exc_info=error)
                failures[name] = str(error) or type(error).__name__
    report(1.0, "measured")
    return BenchResult(tuple(rows), failures, tuple(setting.ranked))
