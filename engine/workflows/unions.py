"""Unite the circuits of subtasks, and measure them beside the circuit of the task that is composed of them."""

from collections.abc import Collection

from engine.analysis.components.compare import edge_jaccard, node_jaccard
from engine.analysis.components.selection import select
from engine.analysis.components.union import united
from engine.domain.components import Circuit, ComponentScores, Share, UnionPoint, UnionReport
from engine.domain.errors import ComparisonRefused, Damaged, InputError, NotFound
from engine.domain.jobs import CancelToken, Report, UniteCircuits, part
from engine.store import Store
from engine.workflows.component_circuits import Bench, Place, prefixed, shortage
from engine.workflows.loading import common_model

_SCORED = 0.7  # share of the time for scores, where none are stored


def unite_circuits(store: Store, request: UniteCircuits, report: Report, cancel: CancelToken) -> str:
    """At each share: the union of the parts cut to the size of the direct circuit, and the faithfulness of both on the
    direct pairs at the direct checkpoint; returns the report's hash.

    Shares at which nothing of a circuit is left after pruning are left out. Scores that are not stored are made first.
    A report that is stored with the same shares is not made again. Raises as `find_circuits`, ComparisonRefused
    (checkpoints of different models), and InputError (the same part twice; every share left out).
    """
    if not request.shares:
        raise InputError("A union is measured at some sizes. Give one share of the edges or more, as 0.05.")
    report(0.0, "Loading the model")
    asked = [(request.checkpoint, request.pairs), *((one.checkpoint, one.pairs) for one in request.parts)]
    common_model(store, [store.checkpoint(checkpoint) for checkpoint, _ in asked])
    bench = Bench(store, request.settings)
    direct, *parts = places = [bench.place(*one) for one in asked]
    _refuse_twice(parts)
    named = UnionReport(key=direct.key, parts=tuple(place.key for place in parts), points=())
    scores = []
    for number, place in enumerate(places):
        cancel.check()
        within = part(report, _SCORED * number / len(places), _SCORED * (number + 1) / len(places))
        scores.append(bench.scores(place, within, cancel))
    circuits, left_out = _pairs_of_circuits(scores, tuple(sorted(set(request.shares))))
    if _is_stored(store, named, circuits.keys()):
        report(1.0, f"{direct.checkpoint.ref}: union measured before")
        return named.hash
    points = _measured(bench, direct, circuits, part(report, _SCORED, 1.0), cancel)
    store.save_circuit_report(named.model_copy(update={"points": points}))
    told = ", ".join(f"{100 * share:g}%" for share in left_out)
    without = f"; nothing is left after pruning at {told}" if told else ""
    report(1.0, f"The union for {direct.checkpoint.ref} is measured{shortage(places)}{without}")
    return named.hash


def _refuse_twice(parts: list[Place]) -> None:
    for number, place in enumerate(parts):
        if any(place.key == other.key for other in parts[:number]):
            raise InputError(
                f"The part {place.checkpoint.ref} on “{place.key.pairs}” is given twice. Unite circuits of different "
                "subtasks."
            )


def _pairs_of_circuits(
    scores: list[ComponentScores], shares: tuple[Share, ...]
) -> tuple[dict[Share, tuple[Circuit, Circuit]], list[Share]]:
    """By share, the union and the direct circuit; and the shares at which one of them is empty."""
    direct, *parts = scores
    if any(one.shape != direct.shape for one in parts):
        raise ComparisonRefused("The checkpoints are of models of different shape. Unite circuits of one base model.")
    found: dict[Share, tuple[Circuit, Circuit]] = {}
    reason: InputError | None = None
    for share in shares:
        try:
            circuit = select(direct.scores, direct.shape, share=share)
            whole = united([one.scores for one in parts], direct.shape, share=share, n_edges=circuit.n_edges)
            found[share] = (whole, circuit)
        except InputError as error:
            reason = error
    if not found and reason:
        raise reason
    return found, [share for share in shares if share not in found]


def _measured(
    bench: Bench,
    direct: Place,
    circuits: dict[Share, tuple[Circuit, Circuit]],
    report: Report,
    cancel: CancelToken,
) -> tuple[UnionPoint, ...]:
    """Both circuits of every share on the direct pairs."""
    from engine.components.faithfulness import circuit_points

    told, flat = (
        prefixed(report, direct.checkpoint.ref),
        [(share, one) for share, both in circuits.items() for one in both],
    )
    told(0.0, "measuring the circuits")
    points = circuit_points(bench.model(direct), direct.pairs, flat, bench.settings.metric, report=told, cancel=cancel)
    return tuple(
        UnionPoint(
            share=share, union=union, direct=own, nodes=node_jaccard(*both), edges=edge_jaccard(*both, qkv="merged")
        )
        for (share, both), union, own in zip(circuits.items(), points[::2], points[1::2], strict=True)
    )


def _is_stored(store: Store, named: UnionReport, shares: Collection[Share]) -> bool:
    try:
        stored = store.circuit_report(named.hash)
    except (NotFound, Damaged):
        return False
    return isinstance(stored, UnionReport) and {point.share for point in stored.points} == set(shares)
