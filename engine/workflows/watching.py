"""Look at the circuits of a run while it trains: one look a capture, from a second thread."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from engine.analysis.change import circuit_change
from engine.analysis.layers import layer_shares
from engine.analysis.meaning_prompts import overlap_probes
from engine.analysis.noise_floor import noise_floor
from engine.analysis.overlap import ALL_LAYERS, meaning_overlap
from engine.analysis.prompt_circuits import PromptCircuit, prompt_circuit
from engine.analysis.watched import watched_probes
from engine.domain.decisions import CircuitReading, TypeReading
from engine.domain.graphs import GraphKey
from engine.domain.jobs import CancelToken
from engine.domain.measures import Floor, Measure
from engine.domain.runs import Checkpoint, RunConfig
from engine.domain.series import SERIES_TRACING
from engine.models.recently_used import RecentlyUsed
from engine.store import Store
from engine.workflows import watched_sets
from engine.workflows.loading import base_model, replacement_model, weights
from engine.workflows.traceable import TraceableProbe, traceable_probes
from engine.workflows.watched_sets import WatchedSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement

_AT_ONCE = 3  # checkpoints that are held: the one looked at, the one before, and one that a refresh made of no use
Overlaps = Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]  # by type: own and other by layer


@dataclass(frozen=True, eq=False)
class _Traced:
    """One checkpoint, traced with one transcoder set."""

    circuits: dict[str, list[PromptCircuit]]  # by constraint type
    floors: dict[str, dict[Measure, Floor]]

    def fit(self, constraint_type: str) -> float:
        """Replacement score, mean over the prompts."""
        circuits = self.circuits[constraint_type]
        return sum(circuit.fit for circuit in circuits) / len(circuits)


class CircuitWatcher:
    """Traces the watched probes at each capture and measures what has changed (`engine.training.watching.Watcher`).

    Its base model is the one that tracing jobs share; training has a copy of its own, so that nothing that is read
    here ever moves. Graphs are not stored: what is measured on them is.
    """

    def __init__(self, store: Store, config: RunConfig, cancel: CancelToken) -> None:
        self._store, self._config, self._cancel = store, config, cancel
        self._set: WatchedSet | None = None
        self._merged: RecentlyUsed[PreTrainedModel | None] = RecentlyUsed(_AT_ONCE)
        self._traced: RecentlyUsed[_Traced] = RecentlyUsed(_AT_ONCE)

    def take_reading(self, checkpoint: Checkpoint, previous: Checkpoint | None) -> CircuitReading:
        """What is seen of the circuits at this capture, beside those of `previous`, with one set for both.

        Where the mean fit of a type is too low (`decisions.min_fit`), the set is refreshed first, once. Probes that
        cannot be traced are left out. Raises what tracing and training transcoders raise, Canceled between prompts.
        """
        began = time.perf_counter()
        transcoders = watched_sets.refreshed_for(self._store, self._config, checkpoint)
        refreshed, refresh_s = transcoders is not None, 0.0
        if transcoders is None:
            transcoders, refresh_s = self._set_before(checkpoint)
            after = self._trace(checkpoint, transcoders)
            if self._is_low(after) and transcoders.meta is not None and self._config.decisions.refresh_steps:
                transcoders, took = self._refresh(checkpoint, previous, transcoders)
                refreshed, refresh_s = True, refresh_s + took
        after = self._trace(checkpoint, transcoders)
        before = self._trace(previous, transcoders) if previous else None
        overlaps = self._overlaps(checkpoint, transcoders)
        self._set = transcoders
        types = tuple(_type_reading(name, before, after, overlaps) for name in after.circuits)
        return CircuitReading(
            step=checkpoint.step,
            transcoders=transcoders.chosen.name,
            transcoders_hash=transcoders.digest,
            refreshed=refreshed,
            types=types,
            trace_s=time.perf_counter() - began - refresh_s,
            refresh_s=refresh_s,
        )

    def _set_before(self, checkpoint: Checkpoint) -> tuple[WatchedSet, float]:
        """The set that the run has by now, and how long it took to have it."""
        if self._set is not None:
            return self._set, 0.0
        began = time.perf_counter()
        found = watched_sets.set_at(self._store, self._config, checkpoint, self._cancel)
        return found, time.perf_counter() - began

    def _refresh(
        self, checkpoint: Checkpoint, previous: Checkpoint | None, current: WatchedSet
    ) -> tuple[WatchedSet, float]:
        began = time.perf_counter()
        made = watched_sets.refresh(self._store, self._config, current, checkpoint, previous, self._cancel)
        return made, time.perf_counter() - began

    def _is_low(self, traced: _Traced) -> bool:
        return any(traced.fit(name) < self._config.decisions.min_fit for name in traced.circuits)

    @cached_property
    def _loaded(self) -> "LoadedModel":
        return base_model(self._store, self._config.model)

    @cached_property
    def _asked(self) -> tuple[TraceableProbe, ...]:
        decisions = self._config.decisions
        corpus = self._store.corpus(self._config.corpus)
        found, _ = traceable_probes(self._loaded, watched_probes(corpus, decisions.probe_kind, decisions.n_prompts))
        return found

    def _replacement(self, transcoders: WatchedSet) -> "Replacement":
        return replacement_model(self._loaded, transcoders.chosen.source, transcoders.digest)

    def _weights(self, checkpoint: Checkpoint) -> "PreTrainedModel | None":
        # A checkpoint that is made again after a kill has the same bits, so that its name tells it.
        return self._merged.get(checkpoint.ref, lambda: weights(self._loaded, checkpoint))

    def _trace(self, checkpoint: Checkpoint, transcoders: WatchedSet) -> _Traced:
        return self._traced.get((checkpoint.ref, transcoders.digest), lambda: self._trace_now(checkpoint, transcoders))

    def _trace_now(self, checkpoint: Checkpoint, transcoders: WatchedSet) -> _Traced:
        from engine.attribution.trace import trace_graph

        circuits: dict[str, list[PromptCircuit]] = {}
        for one in self._asked:
            self._cancel.check()
            key = GraphKey(
                checkpoint=checkpoint.ref,
                checkpoint_hash="",  # the graph is not stored
                prompt=one.probe.text,
                transcoders=transcoders.chosen.name,
                transcoders_hash=transcoders.digest,
                targets=one.targets,
                settings=SERIES_TRACING,
            )
            graph = trace_graph(self._replacement(transcoders), key=key, merged=self._weights(checkpoint))
            circuits.setdefault(one.probe.constraint_type, []).append(prompt_circuit(one.probe, graph))
        return _Traced(circuits, {name: noise_floor(own) for name, own in circuits.items()})

    def _overlaps(self, checkpoint: Checkpoint, transcoders: WatchedSet) -> Overlaps:
        from engine.attribution.overlap import overlap_rows

        self._cancel.check()
        probes = overlap_probes(self._store.corpus(self._config.corpus), [one.probe for one in self._asked])
        rows = overlap_rows(self._replacement(transcoders), self._weights(checkpoint), probes)
        overlaps = {}
        for name, own in rows.items():
            # Of a look the means are kept: no interval is worked out.
            layers = [one for one in meaning_overlap(checkpoint.step, name, own, n_boot=1) if one.layer != ALL_LAYERS]
            overlaps[name] = tuple(one.own for one in layers), tuple(one.other for one in layers)
        return overlaps


def _type_reading(name: str, before: _Traced | None, after: _Traced, overlaps: Overlaps) -> TypeReading:
    circuits: Sequence[PromptCircuit] = after.circuits[name]
    own, other = overlaps.get(name, ((), ()))
    change = {}
    if before is not None:
        floors = before.floors[name], after.floors[name]
        change = circuit_change(before.circuits[name], circuits, floors)
    return TypeReading(
        constraint_type=name,
        n_prompts=len(circuits),
        fit=after.fit(name),
        lowest_fit=min(circuit.fit for circuit in circuits),
        floor=after.floors[name],
        change=change,
        layers=layer_shares(circuits),
        own=own,
        other=other,
    )
