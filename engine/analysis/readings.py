"""The circuit change of a whole run as looks at its captures, so that policies judge it as they would have live."""

from collections.abc import Sequence

import pandas as pd

from engine.analysis.run_changes import RunChanges
from engine.domain.decisions import CircuitReading, TypeReading
from engine.domain.measures import Change, Floor, Measure
from engine.domain.series import Overlap

Key = tuple[int, str]  # step and constraint type


def readings_of(
    steps: Sequence[int], changes: RunChanges, overlap: Sequence[Overlap] = ()
) -> dict[int, CircuitReading]:
    """By step, of those of `steps` (all captures, ascending) that have graphs; transcoders are "" and times 0.

    A change is one since the capture before: where that has no graphs, there is none.
    """
    floors, changed = _floors(changes.floors), _changes(changes.changes, steps)
    layers = _layers(changes.layers)
    types: dict[int, list[TypeReading]] = {}
    for row in changes.fits.to_dict("records"):
        key = (int(row["step"]), str(row["constraint_type"]))
        own = sorted((o for o in overlap if (o.step, o.constraint_type) == key and o.layer >= 0), key=lambda o: o.layer)
        reading = TypeReading(
            constraint_type=key[1],
            n_prompts=int(row["n"]),
            fit=row["fit"],
            lowest_fit=row["lowest_fit"],
            floor=floors.get(key, {}),
            change=changed.get(key, {}),
            layers=layers.get(key, ()),
            own=tuple(one.own for one in own),
            other=tuple(one.other for one in own),
        )
        types.setdefault(key[0], []).append(reading)
    return {
        step: CircuitReading(
            step=step, transcoders="", transcoders_hash="", refreshed=False, types=tuple(types[step]), trace_s=0
        )
        for step in steps
        if step in types
    }


def _floors(table: pd.DataFrame) -> dict[Key, dict[Measure, Floor]]:
    found: dict[Key, dict[Measure, Floor]] = {}
    for row in table.to_dict("records"):
        floor = Floor(halves=row["halves"], halves_high=row["halves_high"], paraphrases=_known(row["paraphrases"]))
        found.setdefault((int(row["step"]), str(row["constraint_type"])), {})[row["measure"]] = floor
    return found


def _changes(table: pd.DataFrame, steps: Sequence[int]) -> dict[Key, dict[Measure, Change]]:
    before = dict(zip(steps[1:], steps, strict=False))
    found: dict[Key, dict[Measure, Change]] = {}
    for row in table[table["to"] == "previous"].to_dict("records"):
        if before.get(row["step"]) == row["to_step"]:
            change = Change(value=row["change"], low=row["low"], high=row["high"], edge=_known(row["edge"]))
            found.setdefault((int(row["step"]), str(row["constraint_type"])), {})[row["measure"]] = change
    return found


def _layers(table: pd.DataFrame) -> dict[Key, tuple[float, ...]]:
    found: dict[Key, tuple[float, ...]] = {}
    for row in table.sort_values("layer").to_dict("records"):
        key = (int(row["step"]), str(row["constraint_type"]))
        found[key] = (*found.get(key, ()), row["share"])
    return found


def _known(value: float | None) -> float | None:
    """None where a table has no figure."""
    return None if value is None or pd.isna(value) else float(value)
