"""What jobs that trace have in common: a model, a transcoder set, and the weights of the checkpoints in turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.domain.errors import Damaged, InputError
from engine.domain.graphs import Comparison, GraphKey, TraceSettings
from engine.domain.jobs import CancelToken, Report, cancellable, part
from engine.domain.runs import Checkpoint
from engine.models.recently_used import RecentlyUsed
from engine.store import Store
from engine.workflows.loading import common_model, replacement_model, weights
from engine.workflows.transcoders import ChosenSet, choose

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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
        """Trace and store the graph; one that is stored whole is not traced again. `title` says what is traced.

        Raises what tracing raises, and Cancelled, also within a graph.
        """
        from engine.attribution.trace import trace_graph

        cancel.check()
        report(0.0, title)
        if not stored_whole(store, key):
            within = cancellable(part(report, 0.0, 1.0, f"{title}: "), cancel)
            graph = trace_graph(self.replacement(), key=key, merged=self.weights(checkpoint), report=within)
            store.save_graph(graph)


def open_scene(
    store: Store,
    checkpoints: list[Checkpoint],
    wanted: str,
    settings: TraceSettings,
    report: Report,
    cancel: CancelToken,
) -> Scene:
    """Loads the model and chooses the transcoders, which are trained first where none fits. Raises what those raise."""
    report(0.0, "Loading the model")
    loaded = common_model(store, checkpoints)
    chosen = choose(store, checkpoints, loaded, wanted, report, cancel)
    from engine.models.transcoders import transcoders_hash

    return Scene(loaded, chosen, transcoders_hash(chosen.source), settings)


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


def stored_whole(store: Store, key: GraphKey) -> bool:
    """False where the graph is missing or damaged."""
    if not store.has_graph(key):
        return False
    try:
        store.graph(key)
    except Damaged:  # traced again: the new file takes its place
        return False
    return True
