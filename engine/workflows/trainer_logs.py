"""What trainers elsewhere logged: Trainer's own state, and the tables that TensorBoard and W&B export."""

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from engine.domain.errors import InputError
from engine.domain.foreign import translated
from engine.domain.numbers import plural
from engine.domain.runs import MOST_STEPS, LoggedMetrics, LoggedSeries, LossLog
from engine.store.files import read_text

_MOST_SERIES, _MOST_BYTES = 100, 50 << 20
# Of Trainer's rows: what is kept elsewhere, or says how fast it was.
_NOT_METRICS: Final = ("step", "epoch", "loss", "learning_rate", "total_flos", "train_loss")
_OF_SPEED: Final = ("runtime", "per_second")
_STEPS: Final = ("step", "_step", "global_step", "train/global_step", "trainer/global_step")


def read_log(trainer: dict[str, Any]) -> tuple[LossLog, str]:
    """What Trainer logged, and in words what of it could not be used.

    Each loss is the mean of the steps since the one before, so of one step only where all are. Of a step logged twice,
    as after a resume, the later counts; what is no finite number is a gap (NaN).
    """
    rows, gaps, again = {}, 0, 0
    history = trainer.get("log_history")
    for row in history if isinstance(history, list) else []:
        step = whole_number(row.get("step")) if isinstance(row, dict) else None
        if step is None or "loss" not in row:
            continue
        loss, rate = number(row["loss"]), number(row.get("learning_rate", 0.0))
        gaps, again = gaps + (not math.isfinite(loss)), again + (step in rows)
        rows[step] = (loss, rate if math.isfinite(rate) else 0.0)
    ordered = sorted(rows.items())
    log = LossLog(
        step=tuple(step for step, _ in ordered),
        loss=tuple(loss for _, (loss, _) in ordered),
        learning_rate=tuple(rate for _, (_, rate) in ordered),
    )
    told = [f"{plural(gaps, 'logged loss', 'logged losses')} of no finite number: a gap on the curve."] if gaps else []
    told += [f"{plural(again, 'step')} logged more than once: the last of them counts."] if again else []
    return log, " ".join(told)


def read_metrics(trainer: dict[str, Any]) -> LoggedMetrics:
    """The other numbers that Trainer logged, such as eval_loss, by name. Of a step logged twice the later counts."""
    found: dict[str, dict[int, float]] = {}
    history = trainer.get("log_history")
    for row in history if isinstance(history, list) else []:
        step = whole_number(row.get("step")) if isinstance(row, dict) else None
        if step is None:
            continue
        for name, value in row.items():
            if name not in _NOT_METRICS and not str(name).endswith(_OF_SPEED) and _is_number(value):
                found.setdefault(str(name), {})[step] = number(value)
    return _series(found)


def table_metrics(files: Sequence[Path]) -> LoggedMetrics:
    """What CSV files say, by column: a column of steps, and of numbers.

    TensorBoard's (Wall time, Step, Value) is called as its file, W&B's columns (RUN - NAME) by what comes after the
    run's name. Raises InputError with the file.
    """
    found: dict[str, dict[int, float]] = {}
    for file in files:
        for name, step, value in _table(file):
            found.setdefault(name, {})[step] = value
    if len(found) > _MOST_SERIES:
        raise InputError(f"The logs have {len(found)} columns; at most {_MOST_SERIES} can be drawn. Export fewer.")
    return _series(found)


def merged_metrics(one: LoggedMetrics, other: LoggedMetrics) -> LoggedMetrics:
    """Of both; of a name that both have the second's."""
    return LoggedMetrics(series=one.series | other.series)


def _table(file: Path) -> Iterator[tuple[str, int, float]]:
    """(name, step, value)"""
    if not file.is_file():
        raise InputError(f"There is no file {file}. Give a CSV file, as TensorBoard or W&B exports it.")
    if file.stat().st_size > _MOST_BYTES:
        raise InputError(f"{file} has more than {_MOST_BYTES >> 20} MB. Export fewer columns or steps.")
    with translated(lambda said: InputError(f"{file} is no CSV file: {said}.")):
        rows = list(csv.DictReader(read_text(file).lstrip("\ufeff").splitlines()))
    names = [name for name in (rows[0] if rows else ()) if name]
    steps = next((name for name in names if name.strip().lower() in _STEPS), None)
    if steps is None:
        raise InputError(
            f"{file} has no column of steps. Its first line should name one “step”; it names {', '.join(names)[:200]}."
        )
    called = {name: shown for name in names if name != steps and (shown := _called(name, names, file))}
    for row in rows:
        step = whole_number(_as_number(row[steps]))
        if step is None:
            continue
        for name, shown in called.items():
            value = _as_number(row.get(name))
            if value is not None:
                yield shown, step, number(value)


def _called(name: str, names: Sequence[str], file: Path) -> str:
    """What a column's measure is called; empty where it is none."""
    if {one.lower() for one in names} == {"wall time", "step", "value"}:  # TensorBoard's
        return file.stem if name.lower() == "value" else ""
    if name.endswith(("__MIN", "__MAX")) or name.lower() in ("wall time", "_timestamp", "_runtime", *_STEPS):
        return ""
    return name.partition(" - ")[2].strip() or name.strip()


def _as_number(text: object) -> float | None:
    """None for an empty cell or a word."""
    try:
        return float(str(text).replace("_", " "))  # Python alone reads 1_000 as a number
    except ValueError:
        return None


def _series(found: dict[str, dict[int, float]]) -> LoggedMetrics:
    ordered = {name: sorted(rows.items()) for name, rows in found.items()}
    return LoggedMetrics(
        series={
            name: LoggedSeries(step=tuple(step for step, _ in rows), value=tuple(value for _, value in rows))
            for name, rows in ordered.items()
        }
    )


def whole_number(value: object) -> int | None:
    """At least 1; a float where it is a whole number."""
    if not _is_number(value) or not 1 <= value <= MOST_STEPS:  # type: ignore[operator]
        return None
    return int(value) if value == int(value) else None  # type: ignore[call-overload]


def number(value: object) -> float:
    """NaN where it is none, or not finite."""
    usable = _is_number(value) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    return float(value) if usable else math.nan  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
