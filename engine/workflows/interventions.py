"""Change features in both checkpoints of a stored comparison and measure their outputs."""

from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, Intervene, Report, part
from engine.store import Store
from engine.workflows.queries import comparison_found, stored_interventions
from engine.workflows.scene import scene_of

_LOADED = 0.5  # share of the progress bar


def intervene(store: Store, request: Intervene, report: Report, cancel: CancelToken) -> str:
    """Both sides, A first; what is stored is not measured again. Returns the hashes, separated by a comma.

    What was predicted from edges that were cut for storage is done again.
    A side where none of the features is active keeps its outputs, and its intervention says so (`changed` is empty).
    Raises NotFound (a run, a checkpoint, the comparison), InputError (what is no feature, or is active on neither
    side; a checkpoint or a transcoder set that has changed since), ModelUnavailable, Damaged, Canceled.
    """
    pair = comparison_found(store, request.a, request.b, request.prompt, request.transcoders)
    graphs = store.graph_pair(pair.graph_a, pair.graph_b)
    there = {node for graph in graphs for node in graph.node_ids()}
    if missing := [feature for feature in request.features if feature not in there]:
        raise InputError(
            f"“{missing[0][:80]}” is in neither graph of {pair.key.a} and {pair.key.b} on “{pair.key.prompt}”. Choose "
            "features that are active on one of the sides."
        )
    stored = stored_interventions(store, graphs, request.features, request.factor)
    if all(one and one.uncut for one in stored):
        return ",".join(one.key.hash for one in stored if one)
    from engine.attribution.interventions import intervene_on

    scene = scene_of(store, pair, part(report, 0.0, _LOADED), cancel)
    hashes = []
    for number, graph in enumerate(graphs):
        cancel.check()
        checkpoint = store.checkpoint(graph.key.checkpoint)
        report(_LOADED + (1 - _LOADED) * number / 2, f"Measuring {checkpoint.ref}")
        if scene.key(checkpoint, graph.key.prompt, graph.key.targets) != graph.key:
            raise InputError(f"{checkpoint.ref} has changed since it was traced. Trace the comparison again.")
        done = intervene_on(scene.replacement(), graph, scene.weights(checkpoint), request.features, request.factor)
        store.save_intervention(done)
        hashes.append(done.key.hash)
    report(1.0, "Measured")
    return ",".join(hashes)
