"""All checkpoints of a run on the same probes: where training acted between them, their graphs, what these cause."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.ablations import Ablation, causal_summary
from engine.analysis.meaning_prompts import overlap_probes
from engine.analysis.overlap import meaning_overlap
from engine.analysis.watched import watched_probes
from engine.domain.corpus import Corpus, Probe
from engine.domain.errors import InputError, NotFound
from engine.domain.jobs import AnalyseRun, CancelToken, Report, part, turn
from engine.domain.runs import Checkpoint
from engine.domain.series import CausalCheck, GraphSeries, Overlap, SeriesGraph, SeriesKey
from engine.store import Store
from engine.workflows.learned import learning_of, stops, what_lacks
from engine.workflows.prompt_groups import group_acted
from engine.workflows.scene import Scene, open_scene
from engine.workflows.traceable import TraceableProbe, traceable_probes
from engine.workflows.transcoders import GRAPH, share_of_choosing
from engine.workflows.where import where_probes

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

_ACTED, _TRACED = 0.25, 0.78  # of a checkpoint's time, until where training acted is known, until it is traced
CAUSAL_PROMPTS, CAUSAL_DRAWS = 4, 3  # of each constraint type; of other features for each prompt


def analyse_run(store: Store, request: AnalyseRun, report: Report, cancel: CancelToken) -> str:
    """Every checkpoint, the base first: where training acted since the one before, and graphs with one transcoder set;
    returns the series' hash.

    All of it is stored as it comes, the series after every checkpoint and where the job is canceled, so that nothing
    is lost; what is there is not made again. Probes that the model cannot take are left out. Raises InputError (no
    checkpoint; no corpus; no probe of the kind, or none that can be traced), NotFound (the run, the transcoders),
    ModelUnavailable, Damaged, Canceled.
    """
    config = store.run(request.run)
    try:
        corpus = store.corpus(config.corpus)
    except NotFound as error:
        raise InputError(what_lacks(store, request.run, request.probe_kind)) from error
    probes = _probes(corpus, request)
    checkpoints = store.checkpoints(request.run)
    if not checkpoints:
        raise InputError(f"The run “{request.run}” has no checkpoint yet. Resume its training first.")
    chosen = share_of_choosing(store, checkpoints, request.transcoders, GRAPH * len(checkpoints) * len(probes))
    choosing, after = part(report, 0.0, chosen), part(report, chosen, 1.0)
    scene = open_scene(store, checkpoints, request.transcoders, request.settings, choosing, cancel)
    work = _Analysis(store, scene, corpus, _asked(scene.loaded, probes, request), checkpoints, request)
    for number, checkpoint in enumerate(checkpoints):
        try:
            work.add(checkpoint, turn(after, number, len(checkpoints)), cancel)
        finally:
            work.save()
    report(1.0, f"{len(checkpoints)} checkpoints analyzed")
    return work.series.key.hash


class _Analysis:
    """A series that grows by one checkpoint after the other."""

    def __init__(
        self,
        store: Store,
        scene: Scene,
        corpus: Corpus,
        traceable: Sequence[TraceableProbe],
        checkpoints: Sequence[Checkpoint],
        request: AnalyseRun,
    ) -> None:
        self._store, self._scene, self._corpus, self._asked = store, scene, corpus, traceable
        self._before = {after.step: before for before, after in pairwise(stops(checkpoints))}
        key = _key(scene, corpus, traceable, checkpoints, request)
        same = (stored for stored in store.series(request.run) if stored.key == key)
        self.series = next(same, GraphSeries(key=key))

    def save(self) -> None:
        self._store.save_series(self.series)

    def add(self, checkpoint: Checkpoint, report: Report, cancel: CancelToken) -> None:
        """Everything of one checkpoint. What it has by then is in `series`, whatever stops it."""
        self._follow(checkpoint, part(report, 0.0, _ACTED), cancel)
        self._trace(checkpoint, part(report, _ACTED, _TRACED), cancel)
        cancel.check()
        if all(one.step != checkpoint.step for one in self.series.overlap):
            self._put(overlap=(*self.series.overlap, *self._overlap(checkpoint)))
        if all(one.step != checkpoint.step for one in self.series.causal):
            checks = self._causal(checkpoint, part(report, _TRACED, 1.0), cancel)
            self._put(causal=(*self.series.causal, *checks))

    def _follow(self, checkpoint: Checkpoint, report: Report, cancel: CancelToken) -> None:
        """Where training acted since the checkpoint before, on the prompts whose stretch is not stored yet."""
        before = self._before.get(checkpoint.step)
        if before is None:
            return
        _, missing = group_acted(self._store, before.ref, checkpoint.ref, [one.probe for one in self._asked])
        if missing:
            where_probes(self._store, learning_of((before, checkpoint), missing), report, cancel)

    def _trace(self, checkpoint: Checkpoint, report: Report, cancel: CancelToken) -> None:
        for number, one in enumerate(self._asked):
            key = self._scene.key(checkpoint, one.probe.text, one.targets)
            title, within = f"Tracing {checkpoint.ref} on “{one.probe.text}”", turn(report, number, len(self._asked))
            self._scene.trace(self._store, checkpoint, key, title, within, cancel)
            graph = SeriesGraph(step=checkpoint.step, probe_id=one.probe.id, graph=key.hash)
            if graph not in self.series.graphs:
                self._put(graphs=(*self.series.graphs, graph))

    def _overlap(self, checkpoint: Checkpoint) -> list[Overlap]:
        from engine.attribution.overlap import overlap_rows

        probes = overlap_probes(self._corpus, [one.probe for one in self._asked])
        rows = overlap_rows(self._scene.replacement(), self._scene.weights(checkpoint), probes)
        return [one for name, own in rows.items() for one in meaning_overlap(checkpoint.step, name, own)]

    def _causal(self, checkpoint: Checkpoint, report: Report, cancel: CancelToken) -> list[CausalCheck]:
        from engine.attribution.causal import causal_check

        found: dict[str, list[Ablation]] = {}
        for number, one in enumerate(self._asked):
            own = found.setdefault(one.probe.constraint_type, [])
            if len(own) == CAUSAL_PROMPTS:
                continue
            cancel.check()
            report(number / len(self._asked), f"Switching off the circuit of {checkpoint.ref} on “{one.probe.text}”")
            graph = self._store.graph(self._scene.key(checkpoint, one.probe.text, one.targets))
            rng = np.random.default_rng(number)  # the same draws at every checkpoint
            merged = self._scene.weights(checkpoint)
            own.append(causal_check(self._scene.replacement(), graph, merged, n_draws=CAUSAL_DRAWS, rng=rng))
        return [causal_summary(checkpoint.step, name, own) for name, own in found.items()]

    def _put(self, **changes: tuple[SeriesGraph, ...] | tuple[Overlap, ...] | tuple[CausalCheck, ...]) -> None:
        self.series = self.series.model_copy(update=changes)


def _probes(corpus: Corpus, request: AnalyseRun) -> tuple[Probe, ...]:
    probes = watched_probes(corpus, request.probe_kind, request.n_prompts)
    if not probes:
        kinds = ", ".join(dict.fromkeys(probe.kind for probe in corpus.probes))
        there = f"It has: {kinds}. Choose one of these" if kinds else "It has none at all: give it some"
        raise InputError(
            f"The corpus “{corpus.name}” of “{request.run}” has no probes of the kind “{request.probe_kind}” to trace "
            f"circuits on. {there}."
        )
    return probes


def _asked(loaded: "LoadedModel", probes: Sequence[Probe], request: AnalyseRun) -> tuple[TraceableProbe, ...]:
    found, refused = traceable_probes(loaded, probes)
    if not found:
        raise InputError(
            f"None of the {len(probes)} probes of the kind “{request.probe_kind}” can be traced on the model of "
            f"“{request.run}”. The first: {refused[0]}"
        )
    return found


def _key(
    scene: Scene,
    corpus: Corpus,
    traceable: Sequence[TraceableProbe],
    checkpoints: Sequence[Checkpoint],
    request: AnalyseRun,
) -> SeriesKey:
    from engine.models.adapters import checkpoint_hash

    return SeriesKey(
        run=request.run,
        checkpoints=tuple((c.step, checkpoint_hash(scene.loaded, c.adapter)) for c in checkpoints),
        corpus_hash=corpus.hash,
        probe_kind=request.probe_kind,
        probes=tuple(one.probe.id for one in traceable),
        transcoders=scene.transcoders.name,
        transcoders_hash=scene.transcoders_hash,
        settings=request.settings,
    )
