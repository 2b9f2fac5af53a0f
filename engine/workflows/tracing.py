"""Trace checkpoints: two to the same output targets, or one to its own top tokens."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domain.corpus import Probe
from engine.domain.errors import Damaged, NotFound
from engine.domain.graphs import Comparison, ComparisonKey, GraphKey, TraceSettings
from engine.domain.jobs import CancelToken, Compare, Report, Trace
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.loading import common_model, part, replacement_model, weights
from engine.workflows.transcoders import Chosen, choose

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement

_CHOSEN = 0.6  # share of the progress bar for transcoders; most of the time where they must be trained


def compare(store: Store, request: Compare, report: Report, cancel: CancelToken) -> str:
    """Trace both sides of every prompt and store the pairs; what is stored already is not traced again.

    Returns the hashes of the comparisons, in the prompts' order, separated by commas. Raises NotFound,
    ComparisonRefused (other model or tokenizer), PromptRefused, ModelUnavailable, Damaged, Cancelled.
    """
    a, b = store.checkpoint(request.a), store.checkpoint(request.b)
    scene = _open(store, [a, b], request.transcoders, request.settings, report, cancel)
    hashes = []
    for number, prompt in enumerate(request.prompts):
        cancel.check()
        report(_share(number, len(request.prompts)), f"Tracing “{prompt}”")
        hashes.append(_compare_prompt(store, scene, a, b, prompt))
    report(1.0, "Compared")
    return ",".join(hashes)


def trace(store: Store, request: Trace, report: Report, cancel: CancelToken) -> str:
    """Trace one checkpoint on every prompt, to its own top tokens. Returns the graphs' hashes, separated by commas.

    Raises as `compare`.
    """
    checkpoint = store.checkpoint(request.checkpoint)
    scene = _open(store, [checkpoint], request.transcoders, request.settings, report, cancel)
    hashes = []
    for number, prompt in enumerate(request.prompts):
        cancel.check()
        report(_share(number, len(request.prompts)), f"Tracing “{prompt}”")
        key = scene.key(checkpoint, prompt, ())
        _trace_side(store, scene, checkpoint, key)
        hashes.append(key.hash)
    report(1.0, "Traced")
    return ",".join(hashes)


@dataclass
class _Scene:
    """What one job traces with. Replacement and merged models are made when the first prompt needs them."""

    loaded: "LoadedModel"
    transcoders: Chosen
    transcoders_hash: str
    settings: TraceSettings
    merged: "dict[str, PreTrainedModel | None]"

    def key(self, checkpoint: Checkpoint, prompt: str, targets: tuple[int, ...]) -> GraphKey:
        from engine.models.adapters import checkpoint_hash

        return GraphKey(
            checkpoint=checkpoint.ref,
            checkpoint_hash=checkpoint_hash(self.loaded, checkpoint.adapter),
            prompt=prompt,
            transcoders=self.transcoders.name,
            transcoders_hash=self.transcoders_hash,
            targets=targets,
            settings=self.settings,
        )

    def replacement(self) -> "Replacement":
        return replacement_model(self.loaded, self.transcoders.source, self.transcoders_hash)

    def weights(self, checkpoint: Checkpoint) -> "PreTrainedModel | None":
        if checkpoint.ref not in self.merged:
            self.merged[checkpoint.ref] = weights(self.loaded, checkpoint)
        return self.merged[checkpoint.ref]


def _open(
    store: Store,
    checkpoints: list[Checkpoint],
    wanted: str,
    settings: TraceSettings,
    report: Report,
    cancel: CancelToken,
) -> _Scene:
    report(0.0, "Loading the model")
    loaded = common_model(store, checkpoints)
    chosen = choose(store, checkpoints, loaded, wanted, part(report, 0.0, _CHOSEN), cancel)
    from engine.models.transcoders import transcoders_hash

    return _Scene(loaded, chosen, transcoders_hash(chosen.source), settings, {})


def _compare_prompt(store: Store, scene: _Scene, a: Checkpoint, b: Checkpoint, prompt: str) -> str:
    from engine.attribution.targets import common_targets

    key = ComparisonKey(a=a.ref, b=b.ref, prompt=prompt, transcoders=scene.transcoders.name)
    models = [scene.weights(side) or scene.loaded.model for side in (a, b)]
    targets = common_targets(scene.loaded, models, prompt, _probe(store, (a, b), prompt))
    keys = [scene.key(side, prompt, targets) for side in (a, b)]
    for side, graph_key in zip((a, b), keys, strict=True):
        _trace_side(store, scene, side, graph_key)
    comparison = Comparison(key=key, graph_a=keys[0], graph_b=keys[1])
    if store.comparison(a.ref, b.ref, prompt, scene.transcoders.name) != comparison:
        store.save_comparison(comparison)
    return key.hash


def _trace_side(store: Store, scene: _Scene, checkpoint: Checkpoint, key: GraphKey) -> None:
    from engine.attribution.trace import trace_graph

    if _stored_whole(store, key):
        return
    store.save_graph(trace_graph(scene.replacement(), key=key, merged=scene.weights(checkpoint)))


def _stored_whole(store: Store, key: GraphKey) -> bool:
    if not store.has_graph(key):
        return False
    try:
        store.graph(key)
    except Damaged:  # traced again: the new file takes its place
        return False
    return True


def _probe(store: Store, checkpoints: tuple[Checkpoint, ...], prompt: str) -> Probe | None:
    """The probe of either run's corpus that asks this prompt: it knows the right answer and the foils."""
    for checkpoint in checkpoints:
        try:
            probes = store.corpus(store.run(checkpoint.run).corpus).probes
        except NotFound:
            continue
        for probe in probes:
            if probe.text == prompt:
                return probe
    return None


def _share(number: int, n_prompts: int) -> float:
    return _CHOSEN + (1 - _CHOSEN) * number / max(1, n_prompts)
