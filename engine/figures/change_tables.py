"""What stopping policies and curricula saw and decided, as rows to read and to draw. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import pandas as pd

from engine.decisions import Replay
from engine.domain.corpus import ProbeKind
from engine.domain.decisions import STOPPING_INFOS, Capture, CircuitReading, Decision, RunDecisions, TypeReading
from engine.domain.measures import Measure
from engine.domain.numbers import decimal
from engine.figures.change_charts import CHANGE_COLUMNS, OTHER, OWN
from engine.figures.fit_text import score_text

STOPPING_COLUMNS: Final = ("rule", "stops at", "accuracy then", "accuracy at the end", "probes", "steps saved", "why")


def readings_as_changes(readings: Sequence[CircuitReading]) -> pd.DataFrame:
    """What was seen while a run trained, with the columns of `RunChanges.changes`; all since the look before."""
    rows = [
        (
            reading.step, one.constraint_type, "previous", before.step, measure, change.value, change.low, change.high,
            change.edge, change.said, one.n_prompts, one.fit,
        )
        for before, reading in pairwise(readings)
        for one in reading.types
        for measure, change in one.change.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS)).astype({"edge": float})


def readings_as_layers(readings: Sequence[CircuitReading]) -> pd.DataFrame:
    """The share of influence of each layer at each look, with the columns of `RunChanges.layers`."""
    rows = [
        (reading.step, one.constraint_type, layer, share)
        for reading in readings
        for one in reading.types
        for layer, share in enumerate(one.layers)
    ]
    return pd.DataFrame(rows, columns=["step", "constraint_type", "layer", "share"])


def readings_as_overlap(readings: Sequence[CircuitReading], *, layer: int) -> pd.DataFrame:
    """Meaning overlap at one layer with the columns of `change_charts.overlap_rows`; looks have no intervals."""
    rows = [
        (one.constraint_type, one.constraint_type.replace("_", " "), reading.step, which, values[layer],
         one.own[layer] - one.other[layer], "not measured", one.n_prompts)
        for reading in readings
        for one in reading.types
        if layer < min(len(one.own), len(one.other))
        for which, values in ((OWN, one.own), (OTHER, one.other))
    ]  # fmt: skip
    columns = ["constraint_type", "type", "step", "which", "overlap", "gap", "interval", "n"]
    return pd.DataFrame(rows, columns=columns).assign(low=float("nan"), high=float("nan"))


def accuracy_of(capture: Capture, kind: ProbeKind) -> float | None:
    """Share of the probes of this kind that the capture answers right, over all constraint types; None without any."""
    scores = [score for score in capture.scores if score.probe_kind == kind]
    n = sum(score.n for score in scores)
    return sum(score.n_correct for score in scores) / n if n else None


def _n_probes(capture: Capture, kind: ProbeKind) -> int:
    return sum(score.n for score in capture.scores if score.probe_kind == kind)


def stopping_rows(replays: Mapping[str, Replay], captures: Sequence[Capture], *, kind: ProbeKind) -> pd.DataFrame:
    """A row a stopping rule, in the order of `replays`: what it would have done on these captures.

    Columns: rule, stops at (step; none where it trains to the end), accuracy then, accuracy at the end (of the probes
    of `kind`), probes (how many these are), steps saved, why. Empty without captures.
    """
    if not captures:
        return pd.DataFrame(columns=list(STOPPING_COLUMNS))
    last, by_step = captures[-1], {capture.step: capture for capture in captures}
    rows = []
    for name, replay in replays.items():
        stopped = last if replay.step is None else by_step[replay.step]
        rows.append(
            (
                STOPPING_INFOS[name].title if name in STOPPING_INFOS else name, replay.step,
                accuracy_of(stopped, kind), accuracy_of(last, kind), _n_probes(last, kind),
                last.step - stopped.step, replay.verdict.reason,
            )
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(STOPPING_COLUMNS)).astype({"stops at": "Int64"})


def capture_rows(decisions: RunDecisions, *, measure: Measure) -> pd.DataFrame:
    """A row a capture that was looked at or decided on, newest first.

    Columns: step, decision, and a readable column a constraint type with its circuit change. A look may come after the
    decision of its step: looks are traced beside training.
    """
    readings = {reading.step: reading for reading in decisions.readings}
    decided = {decision.step: decision for decision in decisions.decisions}
    types = list(dict.fromkeys(one.constraint_type for reading in decisions.readings for one in reading.types))
    rows = []
    for step in sorted({*readings, *decided}, reverse=True):
        row: dict[str, object] = {"step": step}
        settled = decided[step].verdict.saturated if step in decided else ()
        for name in types:
            reading = readings[step].of(name) if step in readings else None
            row[name.replace("_", " ")] = circuit_words(reading, measure) + (" · settled" if name in settled else "")
        rows.append(row | {"decision": decided[step].verdict.reason if step in decided else ""})
    columns = ["step", *(name.replace("_", " ") for name in types), "decision"]
    return pd.DataFrame(rows, columns=columns)


def circuit_words(reading: TypeReading | None, measure: Measure) -> str:
    """`0.32 (floor 0.44) · replacement score 0.93`: circuit change, the noise floor, how well the graphs explain."""
    if reading is None:
        return "not traced yet"
    score = f"replacement score {score_text(reading.fit)}"
    change = reading.change.get(measure)
    if change is None:
        return f"first checkpoint traced · {score}"
    floor = "no floor" if change.edge is None else f"floor {decimal(change.edge)}"
    return f"{decimal(change.value)} ({floor}) · {score}"


def weight_rows(decisions: Sequence[Decision], *, last_step: int) -> pd.DataFrame:
    """type, step, share: how often each type is sampled from each capture on, up to `last_step`; even where none says.

    Empty where no decision weighs.
    """
    types = list(dict.fromkeys(name for decision in decisions for name in decision.weights))
    if not types:
        return pd.DataFrame(columns=["type", "step", "share"])
    even = dict.fromkeys(types, 1 / len(types))
    shares = {0: even} | {decision.step: decision.weights or even for decision in decisions}
    shares[max(last_step, *shares)] = shares[max(shares)]  # what was decided last holds to the end
    rows = [(name.replace("_", " "), step, shares[step].get(name, 0.0)) for name in types for step in sorted(shares)]
    return pd.DataFrame(rows, columns=["type", "step", "share"])


def seconds_a_step(wall_s: Mapping[int, float]) -> float | None:
    """The run's own pace, from the wall time at its checkpoints by step; None with fewer than two of
    them, and where it is not known, as of imported runs."""
    first, last = min(wall_s, default=0), max(wall_s, default=0)
    took = wall_s[last] - wall_s[first] if last > first else 0.0
    return took / (last - first) if took > 0 else None
