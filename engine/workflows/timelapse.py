"""Trace more checkpoints of a stored comparison, so that all of its moments can be shown."""

from collections.abc import Sequence

from engine.domain.jobs import CancelToken, Report, Timelapse, part, turn
from engine.domain.timelapse import Moment
from engine.store import Store
from engine.workflows.queries import comparison_found, moments
from engine.workflows.scene import scene_of

_LOADED, _TRACED = 0.05, 0.95  # shares of the progress bar


def timelapse(store: Store, request: Timelapse, report: Report, cancel: CancelToken) -> str:
    """Trace the checkpoints one after the other, to the comparison's targets, with its transcoders and settings.

    Each is stored at once, so that a job canceled between two of them keeps what it has; what is stored is not traced
    again. Returns the graphs' hashes in the order of the request, separated by commas. Raises NotFound (a run, a
    checkpoint, the comparison), ComparisonRefused, ModelUnavailable, Damaged, InputError (the transcoder set has
    changed since), Canceled.
    """
    pair = comparison_found(store, request.a, request.b, request.prompt, request.transcoders)
    checkpoints = {side.ref: side for side in map(store.checkpoint, request.checkpoints)}
    scene = scene_of(store, pair, part(report, 0.0, _LOADED), cancel, more=list(checkpoints.values()))
    keys = {ref: scene.key(side, request.prompt, pair.graph_a.targets) for ref, side in checkpoints.items()}
    turns = _in_turn(list(checkpoints), moments(store, pair.key.a, pair.key.b))
    tracing = part(report, _LOADED, _TRACED)
    for number, refs in enumerate(turns):
        within = turn(tracing, number, len(turns))
        sides = [checkpoints[ref] for ref in refs]
        title = f"Tracing step {sides[-1].step:,} of {sides[-1].run}"
        scene.trace_together(store, sides, [keys[ref] for ref in refs], title, within, cancel)
    named = [store.checkpoint(ref) for ref in (pair.key.a, pair.key.b)]
    scene.label(store, named, list(keys.values()), part(report, _TRACED, 1.0), cancel)
    report(1.0, "Traced")
    return ",".join(key.hash for key in keys.values())


def _in_turn(refs: Sequence[str], shown: Sequence[Moment]) -> list[tuple[str, ...]]:
    """What is traced together: the two sides of a moment as soon as both have been asked for, else one checkpoint."""
    order = {ref: place for place, ref in enumerate(refs)}
    pairs = {(moment.a, moment.b) for moment in shown if moment.a != moment.b}
    pairs = {(a, b) for a, b in pairs if a in order and b in order}
    alone = set(order) - {ref for pair in pairs for ref in pair}
    turns = [*pairs, *((ref,) for ref in alone)]
    return sorted(turns, key=lambda turn: sorted((order[ref] for ref in turn), reverse=True))
