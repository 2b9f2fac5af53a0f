"""What a study measures of one run, after it was trained."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.analysis.components.compare import edge_jaccard, flips, layer_change, node_jaccard
from engine.analysis.components.pruning import collapsed, n_nodes, pruned
from engine.analysis.components.selection import n_of_share, top_edges
from engine.domain.components import (
    CIRCUIT_SHARE,
    Circuit,
    ComponentScores,
    CurveReport,
    RobustnessReport,
    UnionReport,
)
from engine.domain.errors import InputError
from engine.domain.jobs import (
    CancelToken,
    CheckRobustness,
    FindCircuits,
    Report,
    SubtaskCircuit,
    UniteCircuits,
)
from engine.domain.measures import Estimate
from engine.domain.studies import ActedWord, ComponentStep, Measured, StudyRun, TaughtWord
from engine.store import Store
from engine.studies.followed import acted_words
from engine.studies.left_out import taught_words

# Twice the published size: of a small model's fifths, 5 % of the edges may have no path from the input to the logits.
ROBUST_SHARE = 0.1
UNION_SHARES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1)  # of which a union's faithfulness is published


@dataclass(frozen=True)
class Measurements:
    """Empty or None: not asked for."""

    components: tuple[ComponentStep, ...] = ()
    robustness: RobustnessReport | None = None
    union: UnionReport | None = None
    taught: tuple[TaughtWord, ...] = ()
    acted: tuple[ActedWord, ...] = ()
    unmeasured: dict[Measured, str] = field(default_factory=dict)  # why it cannot be measured


def measure(store: Store, run: StudyRun, report: Report, cancel: CancelToken) -> Measurements:
    """What `run.measure` asks for, of the finished run in this workspace.

    A circuit that cannot be compared, such as an empty one, does not cost the run: it is told in `unmeasured`. Raises
    any other TracelapseError, Canceled.
    """
    found: dict[str, Any] = {}
    refused: dict[Measured, str] = {}
    for name, (into, measured) in _MEASURES.items():
        if name in run.measure:
            try:
                found[into] = measured(store, run, report, cancel)
            except InputError as error:
                refused[name] = str(error)
    return Measurements(**found, unmeasured=refused)


def component_steps(
    scores: dict[int, ComponentScores], faithfulness: Estimate | None = None
) -> tuple[ComponentStep, ...]:
    """A row a step, ascending; the first is the base. A head's q, k and v count as one input, as published figures do.

    `faithfulness`: of the last circuit.
    """
    steps = sorted(scores)
    circuits = [_circuit(scores[step]) for step in steps]
    found: list[ComponentStep] = []
    for place, (step, circuit) in enumerate(zip(steps, circuits, strict=True)):
        edges = int(collapsed(circuit).sum())
        last = faithfulness if place == len(steps) - 1 else None
        row = ComponentStep(step=step, n_edges=edges, n_nodes=n_nodes(circuit), faithfulness=last)
        if place:
            change = layer_change(scores[steps[place - 1]].scores, scores[step].scores, scores[step].shape)
            row = row.model_copy(update={"layer_change": tuple(change.tolist()), **_changes(circuits[: place + 1])})
        found.append(row)
    return tuple(found)


def _changes(circuits: list[Circuit]) -> dict[str, object]:
    """The fields of the last of these circuits that the ones before it decide."""
    so_far, last = flips(circuits, qkv="merged"), circuits[-1]
    return {
        **{field: getattr(so_far.steps[-1], field) for field in so_far.steps[-1].__dataclass_fields__},
        "node_jaccard_base": node_jaccard(circuits[0], last),
        "edge_jaccard_base": edge_jaccard(circuits[0], last, qkv="merged"),
        "delta_nodes": so_far.delta_nodes,
        "delta_edges": so_far.delta_edges,
    }


def _circuit(scores: ComponentScores) -> Circuit:
    """Nothing may be left of it after pruning."""
    return pruned(top_edges(scores.scores, scores.shape, n_of_share(scores.shape, CIRCUIT_SHARE)))


def _components(store: Store, run: StudyRun, report: Report, cancel: CancelToken) -> tuple[ComponentStep, ...]:
    from engine.workflows import run as do

    name = run.config.name
    checkpoints = store.checkpoints(name)
    refs = tuple(checkpoint.ref for checkpoint in checkpoints)
    do(store, FindCircuits(checkpoints=refs, settings=run.scoring, shares=()), report, cancel)
    do(store, FindCircuits(checkpoints=refs[-1:], settings=run.scoring, shares=(CIRCUIT_SHARE,)), report, cancel)
    keys = {key.checkpoint: key for key in store.component_keys(name)}
    scores = {one.step: store.components(keys[one.ref].hash) for one in checkpoints}
    curve = next(one for one in store.circuit_reports(name) if isinstance(one, CurveReport))
    return component_steps(scores, curve.points[-1].faithfulness)


def _robustness(store: Store, run: StudyRun, report: Report, cancel: CancelToken) -> RobustnessReport:
    from engine.workflows import run as do

    last = _last(store, run.config.name)
    do(store, CheckRobustness(checkpoint=last, settings=run.scoring, share=ROBUST_SHARE), report, cancel)
    return next(one for one in store.circuit_reports(run.config.name) if isinstance(one, RobustnessReport))


def _union(store: Store, run: StudyRun, report: Report, cancel: CancelToken) -> UnionReport:
    from engine.workflows import run as do

    probes = (f"{run.config.name}-probe-{corpus}" for corpus in run.config.method_settings.prior)
    parts = tuple(SubtaskCircuit(checkpoint=_last(store, probe)) for probe in probes)
    request = UniteCircuits(
        checkpoint=_last(store, run.config.name), parts=parts, settings=run.scoring, shares=UNION_SHARES
    )
    do(store, request, report, cancel)
    return next(one for one in store.circuit_reports(run.config.name) if isinstance(one, UnionReport))


def _taught(store: Store, run: StudyRun, report: Report, cancel: CancelToken) -> tuple[TaughtWord, ...]:
    return taught_words(store, run.config.name, report, cancel)


def _acted(store: Store, run: StudyRun, report: Report, cancel: CancelToken) -> tuple[ActedWord, ...]:
    return acted_words(store, run.config.name, report, cancel)


def _last(store: Store, run: str) -> str:
    return store.checkpoints(run)[-1].ref


_MEASURES: dict[Measured, tuple[str, Callable[[Store, StudyRun, Report, CancelToken], object]]] = {
    "circuits": ("components", _components),
    "robustness": ("robustness", _robustness),
    "union": ("union", _union),
    "taught": ("taught", _taught),
    "acted": ("acted", _acted),
}  # the field of Measurements, and what makes it
