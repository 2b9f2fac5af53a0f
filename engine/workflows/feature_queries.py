"""What is known about features. Nothing here needs torch."""

from collections.abc import Iterable, Sequence

from engine.domain.features import FeatureFacts, FeatureKey
from engine.domain.graphs import GraphKey
from engine.store import Store

Feature = tuple[int, int]  # (layer, index)


def feature_facts(store: Store, graph_key: GraphKey, features: Sequence[Feature]) -> dict[Feature, FeatureFacts]:
    """The newest stored facts of these features in the graph's checkpoint and transcoder set.

    Those of a run made again under its old name, or of another set of that name, are not taken. What was never looked
    up is missing. Raises Damaged.
    """
    made_from = (graph_key.checkpoint_hash, graph_key.transcoders_hash)
    keys = store.feature_keys(graph_key.checkpoint)
    return _newest(store, (key for key in keys if (key.checkpoint_hash, key.transcoders_hash) == made_from), features)


def newest_facts(
    store: Store, checkpoint: str, transcoders: str, features: Sequence[Feature]
) -> dict[Feature, FeatureFacts]:
    """The same by names alone: the checkpoint (RUN@LABEL, canonical) and the transcoder set. Raises Damaged."""
    keys = store.feature_keys(checkpoint)
    return _newest(store, (key for key in keys if key.transcoders == transcoders), features)


def _newest(store: Store, keys: Iterable[FeatureKey], features: Sequence[Feature]) -> dict[Feature, FeatureFacts]:
    wanted = set(features)
    found: dict[Feature, FeatureFacts] = {}
    for key in keys:  # the newest comes first
        found |= store.features(key, wanted - found.keys())
        if len(found) == len(wanted):
            break
    return found
