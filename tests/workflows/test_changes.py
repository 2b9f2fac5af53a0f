"""Circuit change of a run, from what is stored."""

from dataclasses import replace

import numpy as np
import pytest

from engine.domain.corpus import Corpus, Probe
from engine.domain.decisions import CircuitReading, DecisionSettings, RunDecisions, TypeReading
from engine.domain.errors import InputError, NotFound
from engine.domain.graphs import NodeKind
from engine.domain.measures import MEASURES, Estimate
from engine.domain.runs import ProbeResults, RunConfig
from engine.domain.series import GraphSeries, Overlap, SeriesGraph, SeriesKey
from engine.store import Store
from engine.store.layout import main_file
from engine.workflows.changes import captures_of, changes_of, latest_series, series_circuits
from tests.analysis.circuit_makers import SIMPLE, SPATIAL, traced
from tests.analysis.micro_graphs import random_graph
from tests.store.artefacts import add_checkpoint

RUN, STEPS = "one", (0, 2, 4)
TEMPLATES = ("{n} {w} word3", "{n} {w} {c}")  # both read “word1 word2 word3”


def probes() -> tuple[Probe, ...]:
    """Two words in two phrasings, of two types; all of them the prompt of the random graphs."""
    own, _ = traced(0)
    return tuple(
        own.model_copy(
            update={"id": f"{name}-{word}-{row}", "constraint_type": name, "template": template, "constraint": "word2"}
        )
        for name in (SIMPLE, SPATIAL)
        for word in ("a", "b")
        for row, template in enumerate(TEMPLATES)
    )


def results(n_correct: int) -> ProbeResults:
    ids = tuple(probe.id for probe in probes())
    n = len(ids)
    return ProbeResults(
        probe_id=ids,
        predicted=("x",) * n,
        p=(0.5,) * n,
        rank=(1,) * n,
        logit_diff=(0.0,) * n,
        correct=tuple(row < n_correct for row in range(n)),
    )


def a_run(store: Store) -> Corpus:
    corpus = Corpus("many", (), probes())
    store.save_corpus(corpus)
    store.save_run(RunConfig(name=RUN, corpus="many", corpus_hash=corpus.hash, n_steps=STEPS[-1]))
    for step in STEPS:
        loss = 3 - step / 2 if step else None
        add_checkpoint(store, RUN, step, corpus_hash=corpus.hash, smoothed_loss=loss)
    return corpus


def a_series(store: Store, corpus: Corpus, *, kind: str = "paraphrase", transcoders: str = "shared") -> GraphSeries:
    key = SeriesKey(
        run=RUN,
        checkpoints=tuple((step, f"hash{step}") for step in STEPS),
        corpus_hash=corpus.hash,
        probe_kind=kind,  # type: ignore[arg-type]
        probes=tuple(probe.id for probe in corpus.probes),
        transcoders=transcoders,
        transcoders_hash=transcoders,
    )
    graphs = []
    for step in STEPS:
        for row, probe in enumerate(corpus.probes):
            graph = random_graph(10 * step + row)
            named = graph.key.model_copy(update={"checkpoint": f"{RUN}@step{step}", "prompt": f"{probe.id} {kind}"})
            store.save_graph(replace(graph, key=named))
            graphs.append(SeriesGraph(step=step, probe_id=probe.id, graph=named.hash))
    series = GraphSeries(key=key, graphs=tuple(graphs))
    store.save_series(series)
    return series


def test_the_newest_series_of_a_kind(store):
    corpus = a_run(store)
    assert latest_series(store, RUN) is None
    a_series(store, corpus, transcoders="older")
    a_series(store, corpus, transcoders="newer")
    a_series(store, corpus, kind="inference")
    found, other = latest_series(store, RUN), latest_series(store, RUN, "inference")
    assert found is not None
    assert other is not None
    assert (found.key.transcoders, other.key.probe_kind) == ("newer", "inference")
    assert latest_series(store, RUN, "recall") is None


def test_changes_of_stored_graphs(store):
    series = a_series(store, a_run(store))
    circuits = series_circuits(store, series)
    assert {step: len(side) for step, side in circuits.items()} == dict.fromkeys(STEPS, 8)
    found = changes_of(store, series)
    assert found.notes == ()
    assert set(found.changes["n"]) == {4}
    assert len(found.changes) == 2 * 6 * len(MEASURES)


def test_missing_and_damaged_graphs_are_left_out(store):
    series = a_series(store, a_run(store))
    gone, damaged = (
        store.workspace / main_file("graph", entry.graph) for entry in (series.graphs[0], series.graphs[9])
    )
    gone.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-100])
    cut = series.model_copy(update={"graphs": series.graphs[:-1]})  # as a canceled job leaves it
    unknown = SeriesGraph(step=4, probe_id="never-heard-of", graph=series.graphs[1].graph)
    found = changes_of(store, cut.model_copy(update={"graphs": (*cut.graphs, unknown)}))
    assert found.fits["n"].tolist() == [3, 3, 4, 4, 4, 3]
    assert found.notes[0].startswith("3 of 24 graphs are missing or damaged.")


def test_a_graph_with_a_cycle_counts_as_damaged(store):
    series = a_series(store, a_run(store))
    graph = store.graph_named(series.graphs[0].graph)
    back, there = graph.source[:1], graph.target[:1]
    edges = {"source": np.concatenate([there, back]), "target": np.concatenate([back, there])}
    store.save_graph(replace(graph, weight=np.ones(2, dtype=np.float32), **edges))
    found = changes_of(store, series)
    assert found.fits["n"].tolist() == [4, 4, 4, 4, 4, 4]  # none of both reaches an output
    outputs = np.flatnonzero(graph.kind == NodeKind.LOGIT)[:1].astype(np.int32)
    edges = {
        name: np.concatenate([ends, end]) for (name, ends), end in zip(edges.items(), (back, outputs), strict=True)
    }
    store.save_graph(replace(graph, weight=np.ones(3, dtype=np.float32), **edges))
    assert changes_of(store, series).fits["n"].tolist() == [3, 4, 4, 4, 4, 4]


def test_no_graph_at_all_is_told(store):
    series = a_series(store, a_run(store)).model_copy(update={"graphs": ()})
    assert series_circuits(store, series) == {step: [] for step in STEPS}
    assert "No graph of this run" in changes_of(store, series).notes[0]


def test_graphs_of_another_prompt_than_the_probes_are_left_out(store):
    """The same ids, but a text that the graphs were not traced on."""
    corpus = a_run(store)
    series = a_series(store, corpus)
    other = tuple(
        probe.model_copy(update={"text": "word1 word2 word4", "template": "{n} {w} word4"}) for probe in probes()
    )
    changed = Corpus("other", (), other)
    store.save_corpus(changed)
    store.save_run(RunConfig(name="two", corpus="other", corpus_hash=changed.hash, n_steps=4))
    key = series.key.model_copy(update={"run": "two", "corpus_hash": changed.hash})
    assert not any(series_circuits(store, series.model_copy(update={"key": key})).values())


def test_a_corpus_that_was_changed_is_refused(store):
    series = a_series(store, a_run(store))
    key = series.key.model_copy(update={"corpus_hash": "other"})
    with pytest.raises(InputError, match=r"was changed after the circuits of “one” were traced.*Analyze the run again"):
        changes_of(store, series.model_copy(update={"key": key}))


def test_captures_of_a_run_that_was_watched(store):
    a_run(store)
    for step, n_correct in zip(STEPS, (0, 6, 8), strict=True):
        store.save_probe_results(RUN, step, results(n_correct))
    types = (TypeReading(constraint_type=SIMPLE, n_prompts=4, fit=0.9, lowest_fit=0.8),)
    reading = CircuitReading(step=2, transcoders="t", transcoders_hash="h", refreshed=True, types=types, trace_s=1.0)
    store.save_decisions(RUN, RunDecisions(readings=(reading,)))
    captures = captures_of(store, RUN)
    assert [one.step for one in captures] == list(STEPS)
    assert [one.reading for one in captures] == [None, reading, None]
    assert [one.smoothed_loss for one in captures] == [None, 2, 1]
    scores = {score.constraint_type: score for score in captures[1].scores}
    assert (scores[SIMPLE].n_correct, scores[SPATIAL].n_correct, scores[SPATIAL].n) == (4, 2, 4)


def test_captures_from_graphs_that_were_traced_afterwards(store):
    series = a_series(store, a_run(store))
    changes = changes_of(store, series)
    estimate = Estimate(value=0.1, low=0, high=0.2)
    overlap = Overlap(step=4, constraint_type=SIMPLE, layer=0, own=0.5, other=0.4, gap=estimate, n=2)
    captures = captures_of(store, RUN, changes, overlap=(overlap,))
    assert [one.reading.transcoders if one.reading else None for one in captures] == ["", "", ""]
    last = captures[2].reading.of(SIMPLE) if captures[2].reading else None
    assert last is not None
    assert tuple(last.change) == MEASURES
    assert last.own == (0.5,)
    assert all(one.scores == () for one in captures)  # it was never probed
    rows = changes.changes[(changes.changes["to"] == "previous") & (changes.changes["step"] == 4)]
    settings = DecisionSettings()
    assert last.change[settings.measure].value == rows["change"].iloc[0]


def test_captures_of_no_run(store):
    with pytest.raises(NotFound):
        captures_of(store, "nowhere")
