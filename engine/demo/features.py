"""What the features of the demo are called, and what those of its default views stand for, without a wait."""

from collections import defaultdict
from collections.abc import Sequence

from engine.analysis.diff import diff_graphs
from engine.demo import recipe
from engine.domain.graphs import Comparison
from engine.domain.jobs import DescribeFeatures, LabelFeatures, NeverCanceled
from engine.store import Store

N_TEXTS = 5  # of a feature; with three fewer than otherwise the facts of two comparisons stay below 250 kB


def add_labels_of(store: Store) -> None:
    """Store an automatic label of every feature, by what it does in both checkpoints of the default comparison.

    Before anything is traced, which would label them by another pair. 30 kB. Raises NotFound, Damaged, StorageFailed.
    """
    from engine.workflows.labels import label_features

    request = LabelFeatures(checkpoints=recipe.COMPARISONS[-1], transcoders=recipe.TRANSCODERS)
    label_features(store, request, _nobody, NeverCanceled())


def add_feature_facts(store: Store, comparisons: Sequence[Comparison]) -> None:
    """Store the facts of every feature that the default pruning keeps on either side, for both checkpoints.

    A second and a half for each pair of checkpoints, and 0.6 kB for each feature and checkpoint.
    Raises NotFound (a graph that is not stored), Damaged, StorageFailed.
    """
    from engine.workflows.features import describe_features

    wanted: dict[tuple[str, str, str], set[tuple[int, int]]] = defaultdict(set)
    for comparison in comparisons:
        key = comparison.key
        wanted[key.a, key.b, key.transcoders] |= _kept_features(store, comparison)
    for (a, b, transcoders), features in wanted.items():
        request = DescribeFeatures(checkpoints=(a, b), transcoders=transcoders, features=tuple(sorted(features)))
        describe_features(store, request, _nobody, NeverCanceled(), n_texts=N_TEXTS)


def _kept_features(store: Store, comparison: Comparison) -> set[tuple[int, int]]:
    nodes = diff_graphs(*store.graph_pair(comparison.graph_a, comparison.graph_b)).nodes
    features = nodes[nodes["kind"] == "feature"]
    return set(zip(features["layer"].tolist(), features["index"].tolist(), strict=True))


def _nobody(fraction: float, message: str) -> None:
    """It is over before anyone could read how far it is."""
