"""Give features automatic labels, and store them: once for each transcoder set."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.domain.feature_names import FoundLabels
from engine.domain.graphs import GraphKey, NodeKind
from engine.domain.jobs import CancelToken, LabelFeatures, Report, part
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.features import texts_to_search
from engine.workflows.loading import common_model, replacement_model, weights
from engine.workflows.texts import let_models_write
from engine.workflows.transcoders import choose

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.replacement import Replacement

MOST_AT_ONCE = 20_000  # features: a set of more is labelled as its features are drawn, any other whole
_CHOSEN = 0.1  # share of the progress bar
Feature = tuple[int, int]  # (layer, index)


def label_features(store: Store, request: LabelFeatures, report: Report, cancel: CancelToken) -> str:
    """Label the features of a set by what they do in these checkpoints; with `again` in place of what is stored.

    Of a set with more than MOST_AT_ONCE features, those that stored graphs of the checkpoints have. Returns the set's
    hash. Raises NotFound, ComparisonRefused (different models), InputError (no text that the model can read),
    ModelUnavailable, Damaged, StorageFailed, Canceled.
    """
    from engine.models.transcoders import transcoders_hash

    report(0.0, "Loading the model")
    checkpoints = [store.checkpoint(ref) for ref in dict.fromkeys(request.checkpoints)]
    loaded = common_model(store, checkpoints)
    chosen = choose(store, checkpoints, loaded, request.transcoders, part(report, 0.0, _CHOSEN), cancel)
    digest = transcoders_hash(chosen.source)
    graphs = [key for checkpoint in checkpoints for key in store.graph_keys(checkpoint.ref)]
    add_labels(
        store,
        replacement_model(loaded, chosen.source, digest),
        digest,
        checkpoints,
        [key for key in graphs if key.transcoders_hash == digest],
        part(report, _CHOSEN, 1.0),
        cancel,
        again=request.again,
    )
    report(1.0, "Features labeled")
    return digest


def add_labels(
    store: Store,
    replacement: "Replacement",
    transcoders_hash: str,
    checkpoints: Sequence[Checkpoint],
    graphs: Sequence[GraphKey],
    report: Report,
    cancel: CancelToken,
    *,
    again: bool = False,
    models: "Sequence[PreTrainedModel | None] | None" = None,
) -> None:
    """Label what has no label of this set yet: all of its features, or of a large one those of the `graphs`.

    `models`: of the checkpoints, where they are at hand. Raises as `label_features`.
    """
    from engine.attribution.labels import label_tokens

    n_layers, n_features = replacement.transcoders.n_layers, replacement.transcoders.d_transcoder
    whole = n_layers * n_features <= MOST_AT_ONCE
    known = store.automatic_labels(transcoders_hash)
    if whole:
        features = {(layer, index) for layer in range(n_layers) for index in range(n_features)}
    else:
        features = {feature for key in graphs for feature in _features_of(store, key)}
    missing = [feature for feature in sorted(features) if again or not known.has(*feature)]
    if not missing:
        return
    let_models_write(store, replacement.loaded, checkpoints, part(report, 0.0, 0.0), cancel)
    found = label_tokens(
        replacement,
        [weights(replacement.loaded, checkpoint) for checkpoint in checkpoints] if models is None else models,
        texts_to_search(store, checkpoints) or [key.prompt for key in graphs],  # models that diverged write nothing
        missing,
        report=report,
        cancel=cancel,
    )
    tokens = {f"{layer}/{index}": sides for (layer, index), sides in found.tokens.items()}
    refs = [checkpoint.ref for checkpoint in checkpoints]
    store.add_automatic_labels(transcoders_hash, FoundLabels(refs, found.n_tokens, tokens, whole), replace=again)


def _features_of(store: Store, key: GraphKey) -> set[Feature]:
    graph = store.graph(key)
    rows = graph.kind == NodeKind.FEATURE
    return set(zip(graph.layer[rows].tolist(), graph.index[rows].tolist(), strict=True))
