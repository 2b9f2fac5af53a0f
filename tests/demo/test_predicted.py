"""What is tried to judge predictions, and how it is summed up; the figures themselves are the demo's."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.demo.predicted import N_TRIED, Tried, agreements, probes_tried, sets_of, stated_agreement
from engine.domain.graphs import LogitParts, NodeKind
from engine.store import BUNDLED, Store
from tests.analysis.micro_graphs import random_graph
from tests.analysis.test_agreement import tried


def test_half_of_what_is_tried_has_the_largest_parts_and_half_is_drawn() -> None:
    graph = random_graph(0, n_features=60)
    features = graph.kind == NodeKind.FEATURE
    n = int(features.sum())
    part = np.zeros((int((graph.kind == NodeKind.LOGIT).sum()), graph.n_nodes), np.float32)
    part[:, :n] = np.where(np.arange(n) % 2, 1, -1) * np.arange(n, 0, -1)  # the first rows have the largest, signed
    nothing = np.zeros(graph.n_nodes, np.float32)
    sets = sets_of(replace(graph, parts=LogitParts(part, nothing, nothing, np.zeros((len(part), 1, 1), np.float32))))
    assert {(choice, size): len(chosen) for (choice, size), chosen in sets.items()} == {
        (choice, size): times for size, times in N_TRIED.items() for choice in ("largest", "random")
    }
    ids = graph.node_ids()
    assert sets["largest", 1] == [[ids[row]] for row in range(5)]
    assert sets["largest", 20] == [ids[:20], ids[20:40]]
    for (_, size), chosen in sets.items():
        assert all(len(set(group)) == size and set(group) <= set(ids[:n]) for group in chosen)


def test_everything_and_each_way_of_choosing_are_summed_up() -> None:
    right, wrong = tried((1.0, 2.0), (1.0, 2.0)), tried((1.0, 2.0), (-1.0, -2.0))
    found = agreements([Tried("one", "largest", 1, right), Tried("one", "random", 5, wrong)])
    assert found["one/largest/1"].signs == 1
    assert found["one/random/5"].signs == 0
    assert (found["all"].n_tried, found["all"].n, found["all"].signs) == (2, 4, 0.5)


def test_each_word_has_one_prompt(tmp_path: Path) -> None:
    store = Store(tmp_path, bundled=BUNDLED)
    words = [probe.constraint for probe in probes_tried(store, "demo-lora")]
    assert len(words) == len(set(words)) == 10
    assert len(probes_tried(store, "demo-lora", 2)) == 4
    store.close()


def test_the_stated_figures_are_read_from_the_demo_or_are_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path, bundled=BUNDLED)
    stated = stated_agreement(store)
    assert stated is not None
    assert stated.n_tried == 144
    assert 0 < stated.signs < 1
    store.close()
    assert stated_agreement(Store(tmp_path / "none", bundled=tmp_path)) is None
