"""Trace more checkpoints of a stored comparison, so that all of its moments can be shown."""

from engine.domain.jobs import CancelToken, Report, Timelapse, part, turn
from engine.store import Store
from engine.workflows.queries import comparison_found
from engine.workflows.scene import scene_of

_LOADED = 0.05  # share of the progress bar


def timelapse(store: Store, request: Timelapse, report: Report, cancel: CancelToken) -> str:
    """Trace the checkpoints one after the other, to the comparison's targets, with its transcoders and settings.

    Each is stored at once, so that a job cancelled between two of them keeps what it has; what is stored is not traced
    again. Returns the graphs' hashes in the order of the request, separated by commas. Raises NotFound (a run, a
    checkpoint, the comparison), ComparisonRefused, ModelUnavailable, Damaged, InputError (the transcoder set has
    changed since), Cancelled.
    """
    pair = comparison_found(store, request.a, request.b, request.prompt, request.transcoders)
    checkpoints = [store.checkpoint(ref) for ref in dict.fromkeys(request.checkpoints)]
    scene = scene_of(store, pair, part(report, 0.0, _LOADED), cancel, more=checkpoints)
    tracing, hashes = part(report, _LOADED, 1.0), []
    for number, checkpoint in enumerate(checkpoints):
        key = scene.key(checkpoint, request.prompt, pair.graph_a.targets)
        title = f"Tracing step {checkpoint.step:,} of {checkpoint.run}"
        scene.trace(store, checkpoint, key, title, turn(tracing, number, len(checkpoints)), cancel)
        hashes.append(key.hash)
    report(1.0, "Traced")
    return ",".join(hashes)
