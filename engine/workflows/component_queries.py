"""What pages and the command line ask about the component circuits of a run. Nothing here needs torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from engine.analysis.components.compare import Flips, Qkv, flips, layer_change, likeness
from engine.analysis.components.pruning import pruned
from engine.analysis.components.selection import How, edge_rule, n_of_share, select
from engine.domain.components import (
    CIRCUIT_SHARE,
    Circuit,
    ComponentKey,
    ComponentScores,
    ComponentShape,
    CurveReport,
    Likeness,
    RobustnessReport,
    ScoreSettings,
    UnionReport,
)
from engine.domain.corpus import ProbeKind
from engine.domain.errors import ComparisonRefused, Damaged, InputError, NotFound
from engine.store import Store
from engine.workflows.changes import captures_of, changes_of, latest_series

R = TypeVar("R", CurveReport, RobustnessReport, UnionReport)


@dataclass(frozen=True)
class FoundCircuits:
    """One corpus and one set of settings with which circuits of a run were found, and at which checkpoints."""

    pairs: str  # the corpus
    pairs_hash: str
    settings: ScoreSettings
    steps: tuple[int, ...]  # ascending
    checkpoints: tuple[str, ...]  # RUN@LABEL, in the order of steps
    keys: tuple[ComponentKey, ...]  # likewise


@dataclass(frozen=True)
class FeatureLikeness:
    """How alike the feature graphs of two captures in a row are: one minus the change, mean over prompts."""

    constraint_type: str
    nodes: float  # Jaccard
    edges: float


@dataclass(frozen=True, eq=False)
class ComponentChange:
    """The circuits of a run's checkpoints, in order of steps, and what changed from each to the next."""

    found: FoundCircuits
    circuits: tuple[Circuit, ...]
    flips: Flips  # one step fewer than there are checkpoints
    layers: np.ndarray  # (n_checkpoints - 1, n_layers): |change of score| by layer, since the checkpoint before
    whole: np.ndarray  # (n_layers,): the same from the first to the last checkpoint; says which layers are critical


def settings_found(store: Store, run: str) -> tuple[FoundCircuits, ...]:
    """Every pair of corpus and settings with which circuits of the run are stored: first those on the run's own corpus,
    then those at more checkpoints, then the newer ones. A union leaves circuits on other pairs at one checkpoint.

    Of scores that were made again for other weights of a checkpoint, the newest count. Raises NotFound (the run).
    """
    own = store.run(run).corpus
    return tuple(sorted(_newest_first(store, run), key=lambda one: (one.pairs != own, -len(one.steps))))


def found_with(
    store: Store, run: str, *, pairs: str = "", settings: ScoreSettings | None = None, n_steps: int | None = None
) -> FoundCircuits:
    """The first of `settings_found` on this corpus and with these settings, or so many points; without them, the first
    of all.

    Raises NotFound (the run), InputError where there is none, saying what there is.
    """
    there = settings_found(store, run)
    for one in there:
        if pairs in ("", one.pairs) and settings in (None, one.settings) and n_steps in (None, one.settings.n_steps):
            return one
    wanted = [
        f" on the pairs of “{pairs}”" if pairs else "",
        " with these settings" if settings else "",
        f" with --steps {n_steps}" if n_steps else "",
    ]
    known = ", ".join(f"on “{one.pairs}” by {one.settings.method} at {', '.join(one.checkpoints)}" for one in there)
    raise InputError(
        f"No circuits of “{run}” have been found{''.join(wanted)} yet"
        f"{f'; there are circuits {known}' if known else ''}. Find them first: circuits find {run}"
        f"{f' --pairs {pairs}' if pairs else ''}{f' --steps {n_steps}' if n_steps else ''}"
    )


def checkpoint_scores(
    store: Store, checkpoint: str, *, pairs: str = "", settings: ScoreSettings | None = None, n_steps: int | None = None
) -> ComponentScores:
    """The stored scores of one checkpoint (RUN@LABEL as a user writes it) that stand first in `ways_of`, of those on
    this corpus, with these settings or so many points.

    Raises NotFound (the checkpoint), InputError where its circuit was not found yet, Damaged.
    """
    ref = store.checkpoint(checkpoint).ref
    there = ways_of(store, ref)
    for one in there:
        if pairs in ("", one.pairs) and settings in (None, one.settings) and n_steps in (None, one.settings.n_steps):
            return store.components(one.keys[one.checkpoints.index(ref)].hash)
    known = ", ".join(dict.fromkeys(f"“{one.pairs}” by {one.settings.method}" for one in there))
    wanted = f"{f' on the pairs of “{pairs}”' if pairs else ''}{f' with --steps {n_steps}' if n_steps else ''}"
    raise InputError(
        f"The circuit of {ref} has not been found{wanted} yet"
        f"{f'; there is one on {known}' if known else ''}. Find it first: circuits find {ref}"
        f"{f' --pairs {pairs}' if pairs else ''}{f' --steps {n_steps}' if n_steps else ''}"
    )


def ways_of(store: Store, ref: str) -> tuple[FoundCircuits, ...]:
    """As `settings_found`, those of which a circuit of this checkpoint (RUN@LABEL, canonical) is stored: so one that is
    looked at alone is the same as among the others of its run. Raises NotFound (the run)."""
    return tuple(one for one in settings_found(store, ref.partition("@")[0]) if ref in one.checkpoints)


def component_change(
    store: Store, found: FoundCircuits, *, share: float = CIRCUIT_SHARE, how: How = "top", qkv: Qkv = "merged"
) -> ComponentChange:
    """What changed over the checkpoints of `found`. Raises InputError (fewer than two of them; nothing left after
    pruning), ComparisonRefused (models of different shape), NotFound, Damaged."""
    if len(found.keys) < 2:
        raise InputError(
            f"The circuit of “{found.keys[0].run}” has been found at one checkpoint only, {found.checkpoints[0]}. A "
            f"change needs two. Find the others: circuits find {found.keys[0].run}"
        )
    shape: ComponentShape | None = None
    circuits, series = [], []  # of the scores only the means are held: the parts of a large model take five times that
    for key in found.keys:
        scores = store.components(key.hash)
        shape = shape or scores.shape
        if scores.shape != shape:
            raise ComparisonRefused(f"The checkpoints of “{key.run}” are of models of different shape.")
        circuits.append(_selected(scores, share=share, how=how))
        series.append(scores.scores)
    assert shape is not None  # there are two or more
    layers = [layer_change(before, after, shape) for before, after in pairwise(series)]
    whole = layer_change(series[0], series[-1], shape)
    return ComponentChange(found, tuple(circuits), flips(circuits, qkv=qkv), np.stack(layers), whole)


def parts_likeness(
    store: Store, found: FoundCircuits, *, share: float = CIRCUIT_SHARE, how: How = "top", qkv: Qkv = "merged"
) -> tuple[Likeness | None, ...]:
    """How alike the circuits of disjoint parts of the pairs are, at each checkpoint of `found`: what a change between
    checkpoints is to be seen beside. Parts have fewer pairs each, so they differ rather more than the whole would.

    None where there is one part, or one of them has no edge left after pruning. Raises InputError (a share outside
    (0, 1]), NotFound, Damaged.
    """
    return tuple(_parts(store.components(key.hash), share=share, how=how, qkv=qkv) for key in found.keys)


def feature_likeness(
    store: Store, run: str, probe_kind: ProbeKind = "paraphrase"
) -> dict[tuple[int, int], tuple[FeatureLikeness, ...]]:
    """The same of feature graphs, by (step, step before): from the newest stored series of the run, else from what was
    looked at while it trained; empty where there is neither. Takes seconds where there is a series.

    Raises NotFound (the run; its corpus, where there is a series), Damaged, InputError (the corpus was changed since).
    """
    series = latest_series(store, run, probe_kind)
    if series is None:
        readings = store.decisions(run).readings
    else:
        captures = captures_of(store, run, changes_of(store, series))
        readings = tuple(capture.reading for capture in captures if capture.reading)
    found: dict[tuple[int, int], tuple[FeatureLikeness, ...]] = {}
    for before, reading in pairwise(sorted(readings, key=lambda reading: reading.step)):
        rows = tuple(
            FeatureLikeness(
                one.constraint_type, 1 - one.change["node_jaccard"].value, 1 - one.change["edge_jaccard"].value
            )
            for one in reading.types
            if {"node_jaccard", "edge_jaccard"} <= one.change.keys()
        )
        if rows:
            found[reading.step, before.step] = rows
    return found


def reports_of(store: Store, run: str, kind: type[R]) -> tuple[R, ...]:
    """The stored reports of one kind, the newest first. Raises Damaged."""
    return tuple(report for report in store.circuit_reports(run) if isinstance(report, kind))


def curve_of(store: Store, key: ComponentKey) -> CurveReport | None:
    """Faithfulness of the circuits that these scores choose; None where it was not measured. Raises Damaged."""
    try:
        report = store.circuit_report(CurveReport(key=key, points=()).hash)
    except NotFound:
        return None
    return report if isinstance(report, CurveReport) else None


def without_curve(store: Store, found: FoundCircuits) -> tuple[str, ...]:
    """Those checkpoints (RUN@LABEL) of whose circuits faithfulness was not measured: where a search was stopped in
    between, or was told not to. One whose report is damaged is among them."""
    return tuple(key.checkpoint for key in found.keys if not _has_curve(store, key))


def _has_curve(store: Store, key: ComponentKey) -> bool:
    try:
        return curve_of(store, key) is not None
    except Damaged:
        return False


def _newest_first(store: Store, run: str) -> list[FoundCircuits]:
    steps = {checkpoint.ref: checkpoint.step for checkpoint in store.checkpoints(run)}
    ways: dict[tuple[str, str, ScoreSettings], dict[str, ComponentKey]] = {}
    for key in store.component_keys(run):
        if key.checkpoint in steps:
            ways.setdefault((key.pairs, key.pairs_hash, key.settings), {}).setdefault(key.checkpoint, key)
    return [_found(way, keys, steps) for way, keys in ways.items()]


def _found(way: tuple[str, str, ScoreSettings], keys: dict[str, ComponentKey], steps: dict[str, int]) -> FoundCircuits:
    refs = sorted(keys, key=lambda ref: steps[ref])
    return FoundCircuits(
        pairs=way[0],
        pairs_hash=way[1],
        settings=way[2],
        steps=tuple(steps[ref] for ref in refs),
        checkpoints=tuple(refs),
        keys=tuple(keys[ref] for ref in refs),
    )


def _parts(scores: ComponentScores, *, share: float, how: How, qkv: Qkv) -> Likeness | None:
    largest = edge_rule(how).largest
    n = n_of_share(scores.shape, share)
    circuits = [pruned(largest(part, scores.shape, n)) for part in scores.groups]
    if len(circuits) < 2 or not all(circuit.n_edges for circuit in circuits):
        return None
    return likeness(circuits, qkv=qkv)


def _selected(scores: ComponentScores, *, share: float, how: How) -> Circuit:
    try:
        return select(scores.scores, scores.shape, share=share, how=how)
    except InputError as error:
        raise InputError(f"{scores.key.checkpoint}: {error}") from error


def feature_means(rows: Sequence[FeatureLikeness]) -> tuple[float, float]:
    """Mean Jaccard of nodes and of edges over constraint types."""
    return float(np.mean([row.nodes for row in rows])), float(np.mean([row.edges for row in rows]))
