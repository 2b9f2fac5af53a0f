"""What is known about the features of a graph. Nothing here needs torch."""

from collections.abc import Sequence

from engine.domain.features import FeatureFacts
from engine.domain.graphs import GraphKey
from engine.store import Store


def feature_facts(
    store: Store, graph_key: GraphKey, features: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], FeatureFacts]:
    """The newest stored facts of these features (layer, index) in the graph's checkpoint and transcoder set.

    Those of a run made again under its old name, or of another set of that name, are not taken. What was never looked
    up is missing. Raises Damaged.
    """
    wanted = set(features)
    found: dict[tuple[int, int], FeatureFacts] = {}
    for key in store.feature_keys(graph_key.checkpoint):
        if (key.checkpoint_hash, key.transcoders_hash) != (graph_key.checkpoint_hash, graph_key.transcoders_hash):
            continue
        found |= store.features(key, wanted - found.keys())
        if len(found) == len(wanted):
            break
    return found


def missing_features(
    store: Store, graph_key: GraphKey, features: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Those of which nothing is stored yet, in their order, each once. Raises Damaged."""
    found = feature_facts(store, graph_key, features)
    return tuple(feature for feature in dict.fromkeys(features) if feature not in found)
