"""Automatic labels as jobs: made with the first comparison, once for each set, and not again."""

import shutil
from pathlib import Path

import pytest

from engine.domain.graphs import NodeKind
from engine.domain.jobs import Compare, LabelFeatures, Trace
from engine.models.transcoders import transcoders_hash
from engine.store import Store
from engine.workflows import run
from engine.workflows.queries import comparison_graphs
from tests.attribution.parts import BACKWARD_HOOK, PROMPT, Never, silent, workspace
from tests.attribution.test_feature_workflow import BOTH, add_set
from tests.tiny import N_LAYERS

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
ASKED = Compare(a=BOTH[0], b=BOTH[1], prompts=(PROMPT,), transcoders="random")


@pytest.fixture
def digest(store: Store, tmp_path: Path) -> str:
    """Two runs and a set of transcoders in the store; its hash."""
    add_set(store, workspace(store, "llama", tmp_path / "base"), "random", seed=0)
    return transcoders_hash(store.transcoder_folder("random"))


def test_a_comparison_labels_every_feature_of_a_set_once(
    store: Store, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, ASKED, silent, Never())
    labels = store.automatic_labels(digest)
    assert labels.is_whole
    (measured,) = labels.measured
    assert measured.checkpoints == BOTH
    assert measured.n_tokens > 100
    assert len(measured.labels) > 10
    names = store.feature_names(digest)
    graphs = comparison_graphs(store, *BOTH, PROMPT)
    assert graphs is not None
    rows = [(graph, row) for graph in graphs for row in (graph.kind == NodeKind.FEATURE).nonzero()[0]]
    assert any(names.label(int(graph.layer[row]), int(graph.index[row])) for graph, row in rows)
    monkeypatch.setattr("engine.attribution.labels.label_tokens", None)
    for again in (ASKED, ASKED.model_copy(update={"prompts": ("the dog rises",)})):
        run(store, again, silent, Never())
    assert store.automatic_labels(digest) == labels


def test_of_a_large_set_the_features_of_the_graphs_are_labelled(
    store: Store, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workflows.labels.MOST_AT_ONCE", 48 * N_LAYERS - 1)
    run(store, Trace(checkpoint=BOTH[0], prompts=(PROMPT,), transcoders="random"), silent, Never())
    run(store, ASKED, silent, Never())  # adds those that only the other checkpoint has active
    first, second = store.automatic_labels(digest).measured
    assert (first.checkpoints, second.checkpoints) == (BOTH[:1], BOTH)
    assert not first.labels.keys() & second.labels.keys()
    drawn = set()
    for key in store.graph_keys():
        graph = store.graph(key)
        rows = (graph.kind == NodeKind.FEATURE).nonzero()[0]
        drawn |= {f"{graph.layer[row]}/{graph.index[row]}" for row in rows}
    assert first.labels.keys() | second.labels.keys() == drawn


def test_labels_are_measured_again_where_that_is_asked_for(store: Store, digest: str) -> None:
    asked = LabelFeatures(checkpoints=BOTH[1:], transcoders="random")
    assert run(store, asked, silent, Never()) == digest
    before = store.automatic_labels(digest)
    run(store, asked.model_copy(update={"checkpoints": BOTH[:1]}), silent, Never())
    assert store.automatic_labels(digest) == before
    run(store, asked.model_copy(update={"checkpoints": BOTH[:1], "again": True}), silent, Never())
    (after,) = store.automatic_labels(digest).measured
    assert after.checkpoints == BOTH[:1]


def test_where_models_without_a_corpus_write_nothing_the_prompts_are_read(
    store: Store, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(store.workspace / "corpora")
    monkeypatch.setattr("engine.models.written_texts.write_texts", lambda *_, **__: ())
    run(store, ASKED, silent, Never())
    (measured,) = store.automatic_labels(digest).measured
    assert measured.n_tokens == len(PROMPT.split())
