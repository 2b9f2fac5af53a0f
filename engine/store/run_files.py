"""The files of a run and of its checkpoints: what they are called, and how each is read and written."""

import json
from pathlib import Path
from typing import Final, TypeVar

from engine.domain.decisions import RunDecisions
from engine.domain.errors import Damaged
from engine.domain.record import Record
from engine.domain.runs import CheckpointState, LoggedMetrics, LossLog, ProbeResults, RunNotes, TuningLog, WrittenTexts
from engine.store.files import read_json, read_text, write_text
from engine.store.layout import STATE, step_of

PROBES: Final = "probes.json"
LOSSES: Final = "losses.json"
TUNING: Final = "tuning.json"
DECISIONS: Final = "decisions.json"
NOTES: Final = "about.json"
METRICS: Final = "metrics.json"
TEXTS: Final = "texts.json"
WEIGHTS_ABOUT: Final = "weights.json"  # of a checkpoint that is no adapter

R = TypeVar("R", bound=Record)


def read_state(path: Path) -> CheckpointState:
    """`state.json` of a checkpoint, whose step its folder must name. Raises Damaged."""
    state = read_json(path, CheckpointState)
    if state.step != step_of(path.parent.name):
        raise Damaged(path, f"it is of step {state.step}, its folder of {path.parent.name}")
    return state


def write_state(folder: Path, state: CheckpointState) -> None:
    """Into a checkpoint's folder. Raises StorageFailed."""
    write_text(folder / STATE, state.to_json())


def referred_to(folder: Path) -> Path | None:
    """Where the weights of an imported checkpoint lie, by its folder; None where it holds them itself."""
    try:
        source = json.loads(read_text(folder / WEIGHTS_ABOUT)).get("folder")
    except (Damaged, ValueError, AttributeError):
        return None
    return Path(source) if isinstance(source, str) else None


def read_probes(folder: Path) -> ProbeResults | None:
    """What was measured at a checkpoint, by its folder; None where nothing was. Raises Damaged."""
    results = _read(folder / PROBES, ProbeResults)
    if results is not None:
        _refuse_unequal(folder / PROBES, results)
    return results


def write_probes(folder: Path, results: ProbeResults) -> None:
    """Into a checkpoint's folder. Raises StorageFailed."""
    write_text(folder / PROBES, results.to_json())


def read_losses(folder: Path) -> LossLog:
    """Of a run, by its folder; empty where none were kept yet. Raises Damaged."""
    log = _read(folder / LOSSES, LossLog) or LossLog()
    _refuse_unequal(folder / LOSSES, log)
    return log


def read_tuning(folder: Path) -> TuningLog:
    """Of a run, by its folder; empty where another method trained it. Raises Damaged."""
    return _read(folder / TUNING, TuningLog) or TuningLog()


def read_decisions(folder: Path) -> RunDecisions:
    """Of a run, by its folder; empty where nothing was decided. Raises Damaged."""
    return _read(folder / DECISIONS, RunDecisions) or RunDecisions()


def read_metrics(folder: Path) -> LoggedMetrics:
    """What a trainer elsewhere logged of a run, by its folder; empty where nothing is kept. Raises Damaged."""
    metrics = _read(folder / METRICS, LoggedMetrics) or LoggedMetrics()
    for series in metrics.series.values():
        _refuse_unequal(folder / METRICS, series)
    return metrics


def read_run_notes(folder: Path) -> RunNotes:
    """What a person wrote on a run, by its folder; empty where nothing was. Raises Damaged."""
    return _read(folder / NOTES, RunNotes) or RunNotes()


def read_written_texts(folder: Path) -> WrittenTexts | None:
    """Texts that a run's models wrote, by its folder; None where they wrote none. Raises Damaged."""
    return _read(folder / TEXTS, WrittenTexts)


# Of a run, by its folder.
RECORDS: Final = (read_losses, read_metrics, read_tuning, read_decisions, read_run_notes, read_written_texts)


def _read(path: Path, record_type: type[R]) -> R | None:
    return read_json(path, record_type) if path.exists() else None


def _refuse_unequal(path: Path, columns: Record) -> None:
    if len({len(getattr(columns, name)) for name in type(columns).model_fields}) != 1:
        raise Damaged(path, "its columns are not of equal length")
