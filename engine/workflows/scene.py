"""What jobs that trace have in common: a model, a transcoder set, and the weights of the checkpoints in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.pairs import features_of, only_kept_by
from engine.domain.errors import ComparisonRefused, Damaged, InputError
from engine.domain.graphs import Comparison, GraphKey, GraphPair, PairMeasures, TraceSettings
from engine.domain.jobs import CancelToken, Report, cancelable, part, turn
from engine.domain.runs import Checkpoint
from engine.models.recently_used import RecentlyUsed
from engine.store import Store
from engine.workflows.loading import common_model, replacement_model, weights
from engine.workflows.transcoders import ChosenSet, choose, share_of_choosing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.attribution.trace import Traced
    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement

_AT_ONCE = 2  # merged models that are held: both sides of a comparison


@dataclass
class Scene:
    """What one job traces with. Replacement and merged models are made when they are first needed."""

    loaded: "LoadedModel"
    transcoders: ChosenSet
    transcoders_hash: str
    settings: TraceSettings
    _merged: "RecentlyUsed[PreTrainedModel | None]" = field(default_factory=lambda: RecentlyUsed(_AT_ONCE))
    _whole: "dict[str, Traced]" = field(default_factory=dict)  # graphs with all of their edges, the last ones

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
        return self._merged.get(checkpoint.ref, lambda: weights(self.loaded, checkpoint))

    def trace(
        self, store: Store, checkpoint: Checkpoint, key: GraphKey, title: str, report: Report, cancel: CancelToken
    ) -> None:
        """`trace_together` of one graph."""
        self.trace_together(store, [checkpoint], [key], title, report, cancel)

    def trace_together(
        self,
        store: Store,
        sides: Sequence[Checkpoint],
        keys: Sequence[GraphKey],
        title: str,
        report: Report,
        cancel: CancelToken,
    ) -> None:
        """Trace and store one graph, or two and what each has for what only the other has (`PairMeasures`).

        What is stored is not traced again, but a graph that was cut before the other one was there. `title` says what
        is traced. Raises what tracing raises, and Canceled, also within a graph.
        """
        from engine.attribution.trace import graph_of

        for number, (side, key) in enumerate(zip(sides, keys, strict=True)):
            cancel.check()
            within = turn(report, number, len(keys))
            within(0.0, title)
            if not stored_whole(store, key):
                graph = graph_of(self._trace(side, key, title, within, cancel), key, self.loaded.tokenizer)
                store.save_graph(graph)
                if graph.is_whole:  # its file has all of them
                    del self._whole[key.hash]
        if len(keys) == 1:
            self._whole.clear()  # one graph alone needs no others
            return
        known = _stored_measures(store, keys)
        if known is None or known.gradients_of_first is None:
            self._keep_pair(store, sides, keys, known, title, report, cancel)

    def label(
        self,
        store: Store,
        checkpoints: Sequence[Checkpoint],
        graphs: Sequence[GraphKey],
        report: Report,
        cancel: CancelToken,
    ) -> None:
        """Automatic labels for the features of these graphs that have none yet, as `engine.workflows.labels`."""
        from engine.workflows.labels import add_labels

        if store.automatic_labels(self.transcoders_hash).is_whole:
            return  # without loading anything
        models = [self.weights(checkpoint) for checkpoint in checkpoints]
        replacement = self.replacement()
        add_labels(store, replacement, self.transcoders_hash, checkpoints, graphs, report, cancel, models=models)

    def _keep_pair(
        self,
        store: Store,
        sides: Sequence[Checkpoint],
        keys: Sequence[GraphKey],
        known: PairMeasures | None,
        title: str,
        report: Report,
        cancel: CancelToken,
    ) -> None:
        """`known`: what is stored of the pair; its edges are not asked for again."""
        from engine.analysis.parts import output_ids
        from engine.attribution.gradients import feature_gradients

        graphs, pair = [store.graph(key) for key in keys], GraphPair.of(*keys)
        features = features_of(*graphs)
        edges, gradients = {}, {}
        for here in (1, 0):  # the one that was traced last is at hand
            side, key, graph = sides[here], keys[here], graphs[here]
            if known is not None:
                edges[key.hash] = known.of_first if key == pair.first else known.of_second
            elif graph.is_whole:
                edges[key.hash] = np.zeros(0)
            else:
                traced = self._trace(side, key, title, report, cancel)
                edges[key.hash] = traced.weights(*only_kept_by(graphs[1 - here], graph))
            cancel.check()
            gradients[key.hash] = feature_gradients(
                self.replacement(), self.weights(side), key.prompt, output_ids(graph), features
            )
        of_each = [found[key.hash] for found in (edges, gradients) for key in (pair.first, pair.second)]
        store.save_pair_measures(PairMeasures(pair, *of_each))

    def _trace(
        self, checkpoint: Checkpoint, key: GraphKey, title: str, report: Report, cancel: CancelToken
    ) -> "Traced":
        """All edges; those of the two graphs that were asked for last are kept, if memory allows."""
        from engine.attribution.trace import trace_prompt

        if key.hash not in self._whole:
            while len(self._whole) >= _AT_ONCE:
                del self._whole[next(iter(self._whole))]
            within = cancelable(part(report, 0.0, 1.0, f"{title}: "), cancel)
            model, merged = self.replacement(), self.weights(checkpoint)
            try:
                traced = trace_prompt(model, key=key, merged=merged, report=within)
            except InputError:
                if not self._whole:
                    raise
                self._whole.clear()  # it may have been the memory that they take
                traced = trace_prompt(model, key=key, merged=merged, report=within)
            self._whole[key.hash] = traced
        self._whole[key.hash] = self._whole.pop(key.hash)
        return self._whole[key.hash]


def open_scene(
    store: Store,
    checkpoints: list[Checkpoint],
    wanted: str,
    settings: TraceSettings,
    report: Report,
    cancel: CancelToken,
    *,
    prompts: Sequence[str] = (),
) -> Scene:
    """Loads the model and chooses the transcoders, which are trained first where none fits. Raises what those raise.

    `prompts`: those that will be traced. One that cannot be read, or for which there is too little memory, is refused
    (PromptRefused) before anything is trained.
    """
    from engine.models.base import encode

    report(0.0, "Loading the model")
    loaded = common_model(store, checkpoints)
    lengths = [len(encode(loaded, prompt)[0]) for prompt in prompts]
    if lengths and share_of_choosing(store, checkpoints, wanted, 0.0):
        _refuse_longer(loaded, max(lengths))
    chosen = choose(store, checkpoints, loaded, wanted, report, cancel)
    from engine.models.transcoders import transcoders_hash

    return Scene(loaded, chosen, transcoders_hash(chosen.source), settings)


def _refuse_longer(loaded: "LoadedModel", n_pos: int) -> None:
    """As tracing does once there are transcoders. Raises PromptRefused."""
    from engine.models.memory import free_memory
    from engine.models.prompt_memory import PromptMemory, refuse_longer_than_free

    takes = PromptMemory.of(loaded.model).traced
    refuse_longer_than_free(n_pos, free_memory(loaded.model.device, takes(n_pos)), takes, "tracing it")


def scene_of(
    store: Store, pair: Comparison, report: Report, cancel: CancelToken, *, more: Sequence[Checkpoint] = ()
) -> Scene:
    """The scene in which a stored comparison was traced, for its own checkpoints and `more`.

    Raises InputError where its transcoders are others now, ComparisonRefused where `more` are of another model.
    """
    traced = pair.graph_a
    sides = [store.checkpoint(pair.key.a), store.checkpoint(pair.key.b)]
    scene = open_scene(store, [*sides, *more], traced.transcoders, traced.settings, report, cancel)
    if scene.transcoders_hash != traced.transcoders_hash:
        raise InputError(
            f"The transcoder set “{traced.transcoders}” has been made again since {pair.key.a} and {pair.key.b} were "
            "traced with it. Trace the comparison again."
        )
    return scene


def _stored_measures(store: Store, keys: Sequence[GraphKey]) -> PairMeasures | None:
    """None where there are none of the pair, or not of these graphs."""
    try:
        store.graph_pair(*keys)
        return store.pair_measures(*keys)
    except (Damaged, ComparisonRefused):  # made again: the new file takes its place
        return None


def stored_whole(store: Store, key: GraphKey) -> bool:
    """False where the graph is missing, damaged, or was cut before its measures were kept."""
    if not store.has_graph(key):
        return False
    try:
        return store.graph(key).is_measured_whole
    except Damaged:  # traced again: the new file takes its place
        return False
