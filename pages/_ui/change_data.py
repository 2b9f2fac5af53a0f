"""What the change charts are drawn from, kept between reruns: a series' circuits are a thousand graphs."""

import hashlib
from dataclasses import dataclass

import pandas as pd

from engine.analysis.run_changes import RunChanges
from engine.domain.corpus import ProbeKind
from engine.domain.decisions import Capture, CircuitReading, RunDecisions
from engine.domain.series import GraphSeries
from engine.figures.change_tables import readings_as_changes, readings_as_layers
from engine.store import Store
from engine.workflows.changes import captures_of, changes_of, latest_series
from pages._ui.cached import stamp
from pages._ui.kept import kept


@dataclass(frozen=True, eq=False)
class Seen:
    """The circuits of one run: traced afterwards, or looked at while it trained."""

    changes: pd.DataFrame  # as `RunChanges.changes`
    layers: pd.DataFrame  # as `RunChanges.layers`
    captures: tuple[Capture, ...]
    notes: tuple[str, ...]  # what is missing
    series: GraphSeries | None  # None: the looks are all there is
    readings: tuple[CircuitReading, ...]


def seen(store: Store, run: str, kind: ProbeKind) -> Seen | None:
    """What is known of the run's circuits on probes of this kind; None where nothing is. Raises as `changes_of`.

    A series that was canceled before two checkpoints had graphs takes nothing away that was seen while the run trained.
    """
    decisions = store.decisions(run)
    watched = bool(decisions.readings) and store.run(run).decisions.probe_kind == kind
    series = latest_series(store, run, kind)
    if series is not None and series.graphs:
        content = _digest(series.model_dump_json())
        found = _changes(store, series, str(store.workspace), content)
        if len(found.changes) or not watched:
            known = _of_series(store, series, str(store.workspace), content, stamp(store, run))
            return Seen(found.changes, found.layers, known, found.notes, series, ())
    if not watched:
        return None
    known = captures_seen(store, run, decisions)
    return Seen(
        readings_as_changes(decisions.readings),
        readings_as_layers(decisions.readings),
        known,
        (),
        None,
        decisions.readings,
    )


def captures_seen(store: Store, run: str, decisions: RunDecisions) -> tuple[Capture, ...]:
    """All that is known of each checkpoint, with what was looked at while the run trained."""
    return _of_readings(store, run, str(store.workspace), stamp_of(decisions), stamp(store, run))


def stamp_of(decisions: RunDecisions) -> str:
    """Equal while nothing was seen or decided anew."""
    return f"{len(decisions.readings)} {len(decisions.decisions)} {decisions.stopped_at} {decisions.look_s}"


def _digest(text: str) -> str:
    """A series is saved while it grows: its name alone would keep its first graphs."""
    return hashlib.sha256(text.encode()).hexdigest()


@kept("Comparing the circuits of all checkpoints …")
def _changes(_store: Store, _series: GraphSeries, workspace: str, content: str) -> RunChanges:
    return changes_of(_store, _series)


@kept()
def _of_series(
    _store: Store, _series: GraphSeries, workspace: str, content: str, measured: tuple[tuple[int, int], ...]
) -> tuple[Capture, ...]:
    found = _changes(_store, _series, workspace, content)
    return captures_of(_store, _series.key.run, found, overlap=_series.overlap)


@kept()
def _of_readings(
    _store: Store, run: str, workspace: str, content: str, measured: tuple[tuple[int, int], ...]
) -> tuple[Capture, ...]:
    return captures_of(_store, run)
