"""What pages and the command line ask about the circuit change of a run. Nothing here needs torch."""

from collections.abc import Mapping, Sequence

from engine.analysis.curves import type_scores
from engine.analysis.prompt_circuits import PromptCircuit, prompt_circuit
from engine.analysis.readings import readings_of
from engine.analysis.run_changes import RunChanges, run_changes
from engine.domain.corpus import Probe, ProbeKind
from engine.domain.decisions import Capture, TypeScore
from engine.domain.errors import ComparisonRefused, Damaged, InputError, NotFound
from engine.domain.series import GraphSeries, Overlap, SeriesGraph
from engine.store import Store


def latest_series(store: Store, run: str, probe_kind: ProbeKind = "paraphrase") -> GraphSeries | None:
    """The newest stored series of the run on probes of this kind, or None."""
    return next((series for series in store.series(run) if series.key.probe_kind == probe_kind), None)


def series_circuits(store: Store, series: GraphSeries) -> dict[int, list[PromptCircuit]]:
    """By step (every step that was asked for, ascending), the circuits of its graphs; what is missing is left out.

    Raises NotFound (the run, or its corpus), Damaged (these two), InputError where the corpus was changed since.
    """
    probes = _probes(store, series)
    circuits: dict[int, list[PromptCircuit]] = {step: [] for step, _ in series.key.checkpoints}
    for entry in series.graphs:
        circuit = _circuit(store, probes, entry)
        if circuit is not None:
            circuits.setdefault(entry.step, []).append(circuit)
    return dict(sorted(circuits.items()))


def changes_of(store: Store, series: GraphSeries) -> RunChanges:
    """The circuit change of a stored series. Raises as `series_circuits`."""
    asked = len(series.key.checkpoints) * len(series.key.probes)
    return run_changes(series_circuits(store, series), n_asked=asked)


def captures_of(
    store: Store, run: str, changes: RunChanges | None = None, *, overlap: Sequence[Overlap] = ()
) -> tuple[Capture, ...]:
    """Every checkpoint of a run as a policy sees it, the base first.

    Looks are those that were kept while it trained; with `changes`, those of the graphs traced afterwards (and of
    `overlap`), where transcoders are "" and times 0. Raises NotFound (the run; its corpus, where it was probed),
    Damaged, InputError.
    """
    checkpoints = store.checkpoints(run)
    if changes is None:
        readings = {reading.step: reading for reading in store.decisions(run).readings}
    else:
        readings = readings_of([checkpoint.step for checkpoint in checkpoints], changes, overlap)
    scores = _scores(store, run)
    losses = {checkpoint.step: store.told_loss(checkpoint) for checkpoint in checkpoints}
    return tuple(
        Capture(
            step=checkpoint.step,
            smoothed_loss=told.value if (told := losses[checkpoint.step]) else None,
            scores=scores.get(checkpoint.step, ()),
            reading=readings.get(checkpoint.step),
        )
        for checkpoint in checkpoints
    )


def _probes(store: Store, series: GraphSeries) -> dict[str, Probe]:
    corpus = store.corpus(store.run(series.key.run).corpus)
    if corpus.hash != series.key.corpus_hash:
        raise InputError(
            f"The corpus “{corpus.name}” was changed after the circuits of “{series.key.run}” were traced (it was "
            f"{series.key.corpus_hash}, it is {corpus.hash}). Analyze the run again."
        )
    return {probe.id: probe for probe in corpus.probes}


def _circuit(store: Store, probes: Mapping[str, Probe], entry: SeriesGraph) -> PromptCircuit | None:
    """None where the graph is gone, damaged, or of another prompt than the series says."""
    try:
        return prompt_circuit(probes[entry.probe_id], store.graph_named(entry.graph))
    except (NotFound, Damaged, ComparisonRefused, KeyError, ValueError):  # ValueError: its edges form a cycle
        return None


def _scores(store: Store, run: str) -> dict[int, tuple[TypeScore, ...]]:
    results = store.probe_results(run)
    probes = store.corpus(store.run(run).corpus).probes if results else ()
    return {step: type_scores(probes, measured) for step, measured in results.items()}
