"""Which layers a fine-tune changes most: a probe run, its circuits before and after, the change by layer.

As in Wang et al. 2025 (arXiv 2502.11812): edges are scored by EAP-IG on the base and on the end of the probe run;
|score after - score before| of each edge counts for the layer of its source. With a prior the probe runs are those of
the subtasks, and an edge counts with its mean change over the subtasks whose circuit has it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.analysis.components.compare import critical_layers, layer_change
from engine.analysis.components.selection import select
from engine.analysis.components.union import united_scores
from engine.components.pairs import TokenPairs, prepare_pairs
from engine.components.scores import score_edges
from engine.corpus.pairs import pairs_of
from engine.domain.components import ComponentKey, ComponentScores, ComponentShape
from engine.domain.corpus import Corpus
from engine.domain.errors import NotFound
from engine.domain.jobs import CancelToken, Report, part
from engine.domain.methods import MethodSettings
from engine.domain.names import check_name
from engine.domain.runs import Checkpoint, RunConfig
from engine.models.adapters import checkpoint_hash
from engine.models.base import LoadedModel
from engine.models.sharing import checkpoint_model
from engine.store import Store
from engine.training.methods.ranks import check_count

_log = logging.getLogger(__name__)
TRAINING = 0.8  # of the progress of a probe; the rest is scoring


class FineTune(Protocol):
    """`fine_tune`."""

    def __call__(
        self, store: Store, config: RunConfig, report: Report, cancel: CancelToken, *, resume: bool = False
    ) -> None: ...


@dataclass(frozen=True)
class Critical:
    """What the probe runs told."""

    layers: tuple[int, ...]
    took_s: float  # of all sittings of the probe runs, and of scoring now


def probes_of(config: RunConfig) -> tuple[RunConfig, ...]:
    """The probe runs that tell a run's layers: plain LoRA on its own corpus, or on each of its prior.

    Raises NameRefused where a name gets too long.
    """
    settings = config.method_settings
    shared = {
        "method": "lora",
        "n_steps": settings.probe_steps or config.n_steps,
        "capture": (1.0,),
        "capture_every": None,
        "method_settings": MethodSettings(),
        "stopping": "none",
        "curriculum": "uniform",
        "watch": False,
    }
    named = [(f"{config.name}-probe-{name}", name, "") for name in settings.prior]
    named = named or [(f"{config.name}-probe", config.corpus, config.corpus_hash)]
    return tuple(
        config.model_copy(update={**shared, "name": check_name(name), "corpus": corpus, "corpus_hash": known})
        for name, corpus, known in named
    )


def find_layers(
    store: Store, config: RunConfig, loaded: LoadedModel, report: Report, cancel: CancelToken, *, train: FineTune
) -> Critical:
    """Make the probe runs, or go on with them, and find the layers. `loaded` holds the base and is left as it is.

    The probe runs stay in the store, and so do their scores. What they were made for is checked before they begin.
    Raises InputError (more layers than the model has, a corpus without pairs, a probe run of other settings) and what
    `fine_tune` raises.
    """
    settings = config.method_settings
    check_count(settings.n_critical, loaded.n_layers)
    probes = probes_of(config)
    prepared = [_pairs(store.corpus(probe.corpus), loaded) for probe in probes]
    parts = []
    for done, (probe, (corpus, pairs)) in enumerate(zip(probes, prepared, strict=True)):
        inner = part(report, done / len(probes), (done + 1) / len(probes), f"probe run {probe.name}: ")
        train(store, probe, part(inner, 0.0, TRAINING), cancel, resume=True)
        began = time.monotonic()
        scoring = _Scoring(store, loaded, corpus, pairs, config, part(inner, TRAINING, 1.0), cancel)
        before, after = scoring.scores(probe.name)
        end = store.checkpoints(probe.name)[-1]
        parts.append((before, after, end.state.wall_time_s + time.monotonic() - began))
    layers = _critical(parts[0][0].shape, [(a.scores, b.scores) for a, b, _ in parts], settings)
    return Critical(layers, sum(took for _, _, took in parts))


def _critical(
    shape: ComponentShape, parts: Sequence[tuple[np.ndarray, np.ndarray]], settings: MethodSettings
) -> tuple[int, ...]:
    """`parts`: scores (n_inputs, n_sources) before and after."""
    if not settings.prior:
        return critical_layers(layer_change(*parts[0], shape), settings.n_critical)
    circuits = [select(after, shape, share=settings.share) for _, after in parts]
    changes = united_scores([np.abs(after - before) for before, after in parts], circuits)
    return critical_layers(layer_change(np.zeros_like(changes), changes, shape), settings.n_critical)


def _pairs(corpus: Corpus, loaded: LoadedModel) -> tuple[Corpus, TokenPairs]:
    there = pairs_of(corpus)
    taken = prepare_pairs(loaded.tokenizer, there, limit=loaded.n_positions)
    if len(taken) < len(there):
        _log.warning("%s of %s pairs of “%s” can be used with this model.", len(taken), len(there), corpus.name)
    return corpus, taken


@dataclass(frozen=True)
class _Scoring:
    """Scores of one probe run's base and end; those that are kept already are not made again."""

    store: Store
    loaded: LoadedModel
    corpus: Corpus
    pairs: TokenPairs
    config: RunConfig
    report: Report
    cancel: CancelToken

    def scores(self, run: str) -> tuple[ComponentScores, ComponentScores]:
        checkpoints = self.store.checkpoints(run)
        before, after = self._all((checkpoints[0], checkpoints[-1]))
        return before, after

    def _all(self, checkpoints: Sequence[Checkpoint]) -> Iterator[ComponentScores]:
        for done, checkpoint in enumerate(checkpoints):
            yield self._one(checkpoint, part(self.report, done / 2, (done + 1) / 2))

    def _one(self, checkpoint: Checkpoint, report: Report) -> ComponentScores:
        settings = self.config.method_settings.scoring
        key = ComponentKey(
            checkpoint=checkpoint.ref,
            checkpoint_hash=checkpoint_hash(self.loaded, checkpoint.adapter),
            pairs=self.corpus.name,
            pairs_hash=self.corpus.hash,
            settings=settings,
        )
        try:
            return self.store.components(key.hash)
        except NotFound:
            pass
        model = checkpoint_model(self.loaded, checkpoint.adapter)
        edges = score_edges(model, self.pairs, settings, report=report, cancel=self.cancel)
        scores = ComponentScores(key, edges.shape, edges.groups, edges.n_pairs, edges.clean, edges.corrupted)
        self.store.save_components(scores)
        return scores
