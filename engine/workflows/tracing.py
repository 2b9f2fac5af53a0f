"""Trace checkpoints: two to the same output targets, or one to its own top tokens."""

from engine.domain.graphs import Comparison, ComparisonKey
from engine.domain.jobs import CancelToken, Compare, Report, Trace, part, turn
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.scene import Scene, open_scene
from engine.workflows.transcoders import GRAPH, share_of_choosing

_TRACED = 0.75  # of a job's time, where no transcoders are trained; then features get labels
_LABELS = 0.08  # of what training a shared set takes: the labels of all of its features, on SmolLM2-135M


def compare(store: Store, request: Compare, report: Report, cancel: CancelToken) -> str:
    """Trace both sides of every prompt and store the pairs; what is stored already is not traced again.

    Returns the hashes of the comparisons, in the prompts' order, separated by commas. Raises NotFound,
    ComparisonRefused (other model or tokenizer), PromptRefused, ModelUnavailable, Damaged, Canceled.
    """
    a, b = store.checkpoint(request.a), store.checkpoint(request.b)
    chosen, traced = _shares(store, [a, b], request.transcoders, 2 * len(request.prompts))
    choosing = part(report, 0.0, chosen)
    scene = open_scene(store, [a, b], request.transcoders, request.settings, choosing, cancel, prompts=request.prompts)
    tracing, hashes = part(report, chosen, traced), []
    for number, prompt in enumerate(request.prompts):
        within = turn(tracing, number, len(request.prompts))
        hashes.append(_compare_prompt(store, scene, (a, b), prompt, within, cancel))
    pairs = [store.comparison(a.ref, b.ref, prompt, scene.transcoders.name) for prompt in request.prompts]
    graphs = [key for pair in pairs if pair for key in (pair.graph_a, pair.graph_b)]
    scene.label(store, [a, b], graphs, part(report, traced, 1.0), cancel)
    report(1.0, "Compared")
    return ",".join(hashes)


def trace(store: Store, request: Trace, report: Report, cancel: CancelToken) -> str:
    """Trace one checkpoint on every prompt, to its own top tokens. Returns the graphs' hashes, separated by commas.

    Raises as `compare`.
    """
    checkpoint = store.checkpoint(request.checkpoint)
    chosen, traced = _shares(store, [checkpoint], request.transcoders, len(request.prompts))
    choosing = part(report, 0.0, chosen)
    scene = open_scene(
        store, [checkpoint], request.transcoders, request.settings, choosing, cancel, prompts=request.prompts
    )
    tracing = part(report, chosen, traced)
    keys = [scene.key(checkpoint, prompt, ()) for prompt in request.prompts]
    for number, key in enumerate(keys):
        within = turn(tracing, number, len(keys))
        scene.trace(store, checkpoint, key, f"Tracing “{key.prompt}”", within, cancel)
    scene.label(store, [checkpoint], keys, part(report, traced, 1.0), cancel)
    report(1.0, "Traced")
    return ",".join(key.hash for key in keys)


def _shares(store: Store, checkpoints: list[Checkpoint], wanted: str, n_graphs: int) -> tuple[float, float]:
    """Of the job's time, until transcoders are there, and until all is traced; the rest is for labels."""
    chosen = share_of_choosing(store, checkpoints, wanted, GRAPH * n_graphs + _LABELS)
    return chosen, 1 - _LABELS * chosen if chosen else _TRACED


def _compare_prompt(
    store: Store,
    scene: Scene,
    sides: tuple[Checkpoint, Checkpoint],
    prompt: str,
    report: Report,
    cancel: CancelToken,
) -> str:
    from engine.attribution.targets import common_targets

    a, b = sides
    title = f"Tracing “{prompt}”"
    cancel.check()
    report(0.0, title)
    key = ComparisonKey(a=a.ref, b=b.ref, prompt=prompt, transcoders=scene.transcoders.name)
    models = [scene.weights(side) or scene.loaded.model for side in sides]
    targets = common_targets(scene.loaded, models, prompt, store.probe_with((a.run, b.run), prompt))
    keys = [scene.key(side, prompt, targets) for side in sides]
    scene.trace_together(store, sides, keys, title, report, cancel)
    comparison = Comparison(key=key, graph_a=keys[0], graph_b=keys[1])
    if store.comparison(a.ref, b.ref, prompt, scene.transcoders.name) != comparison:
        store.save_comparison(comparison)
    return key.hash
