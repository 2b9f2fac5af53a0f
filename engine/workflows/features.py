"""Find out what features stand for in checkpoints, and store it."""

import hashlib
import json
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.domain.features import FeatureKey
from engine.domain.jobs import CancelToken, DescribeFeatures, Report, part
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.loading import common_model, replacement_model, weights
from engine.workflows.texts import N_WRITTEN, let_models_write, needs_written_texts, texts_of
from engine.workflows.transcoders import choose

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

MOST_TEXTS, MOST_OWN = 800, 600  # in all; from the runs' corpora
N_TEXTS = 8  # kept of each feature
_CHOSEN = 0.1  # share of the progress bar
_SEED = 0  # of the texts, so that the same features are looked up in the same texts


def describe_features(
    store: Store, request: DescribeFeatures, report: Report, cancel: CancelToken, *, n_texts: int = N_TEXTS
) -> str:
    """Look the features up in every checkpoint, over the texts of all their runs; what is stored already is skipped.

    Returns the hashes of the keys, in the checkpoints' order, separated by commas. Raises NotFound, InputError (a
    feature that the set does not have; no text that the model can read), ComparisonRefused (different models),
    ModelUnavailable, Damaged, StorageFailed, Canceled (between batches of texts; finished checkpoints are kept).
    """
    from engine.attribution.features import describe
    from engine.models.transcoders import transcoders_hash

    report(0.0, "Loading the model")
    checkpoints = [store.checkpoint(ref) for ref in dict.fromkeys(request.checkpoints)]
    loaded = common_model(store, checkpoints)
    chosen = choose(store, checkpoints, loaded, request.transcoders, part(report, 0.0, _CHOSEN), cancel)
    digest = transcoders_hash(chosen.source)
    let_models_write(store, loaded, checkpoints, part(report, _CHOSEN, _CHOSEN), cancel)
    texts = texts_to_search(store, checkpoints)
    hashes = []
    for number, checkpoint in enumerate(checkpoints):
        key = _key(loaded, checkpoint, chosen.name, digest, texts)
        if missing := set(request.features) - store.features(key, request.features).keys():
            start, end = (_CHOSEN + (1 - _CHOSEN) * n / len(checkpoints) for n in (number, number + 1))
            facts = describe(
                replacement_model(loaded, chosen.source, digest),
                weights(loaded, checkpoint),
                texts,
                sorted(missing),
                n_texts=n_texts,
                report=part(report, start, end),
                cancel=cancel,
            )
            store.save_features(key, facts)
        hashes.append(key.hash)
    report(1.0, "Looked up")
    return ",".join(hashes)


def texts_to_search(store: Store, checkpoints: Sequence[Checkpoint]) -> list[str]:
    """At most MOST_TEXTS different ones: of the runs' corpora, and of the made-up world for the bundled model.

    The same for the same runs and corpora, whichever of their checkpoints they are for. Where there are more, which
    are taken is drawn with a fixed seed.
    """
    runs = sorted(checkpoints, key=lambda checkpoint: checkpoint.run)
    own, plain = texts_of(store, runs, MOST_TEXTS, _SEED)
    own = _some(own, MOST_OWN)
    return list(dict.fromkeys([*own, *plain]))[:MOST_TEXTS]


def n_to_search(store: Store, refs: Sequence[str]) -> int:
    """How many texts are read for a look-up in these checkpoints; what models have yet to write is counted whole."""
    checkpoints = [store.checkpoint(ref) for ref in refs]
    runs = dict.fromkeys(checkpoint.run for checkpoint in checkpoints)
    to_write = N_WRITTEN * sum(needs_written_texts(store, run) for run in runs)
    return min(MOST_TEXTS, len(texts_to_search(store, checkpoints)) + to_write)


def _some(texts: Sequence[str], most: int) -> list[str]:
    """At most so many of the different texts, in their order."""
    different = list(dict.fromkeys(texts))
    if len(different) <= most:
        return different
    taken = sorted(random.Random(_SEED).sample(range(len(different)), most))
    return [different[row] for row in taken]


def _key(loaded: "LoadedModel", checkpoint: Checkpoint, transcoders: str, digest: str, texts: list[str]) -> FeatureKey:
    from engine.models.adapters import checkpoint_hash

    return FeatureKey(
        checkpoint=checkpoint.ref,
        checkpoint_hash=checkpoint_hash(loaded, checkpoint.adapter),
        transcoders=transcoders,
        transcoders_hash=digest,
        texts_hash=hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16],
    )
