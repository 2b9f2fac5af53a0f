"""What graphs of a pair have for each other's edges: stored whole, found in either order, named when damaged."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from engine.domain.errors import Damaged
from engine.domain.graphs import GraphPair, PairMeasures
from engine.store import Store
from tests.store.artefacts import add_run, graph, key

A, B = key("one@base"), key("one@100%")


def stored(store: Store) -> PairMeasures:
    """Gradients of any size, to three digits; those of the first graph need no more."""
    made = PairMeasures(
        GraphPair.of(A, B),
        np.array([1.5, 0, -2], np.float32),
        np.array([3], np.float32),
        np.array([[0.5, -3e20], [0, 3 * 2**-40]], np.float32),
        np.array([[1 / 3, -1e-9], [70001, 0]], np.float32),
    )
    store.save_pair_measures(made)
    return made


def test_the_round_trip_is_exact_in_either_order(store: Store) -> None:
    made = stored(store)
    assert GraphPair.of(A, B) == GraphPair.of(B, A)
    for pair in ((A, B), (B, A)):
        found = store.pair_measures(*pair)
        assert found is not None
        assert found.pair == made.pair
        np.testing.assert_array_equal(found.of_first, made.of_first)
        np.testing.assert_array_equal(found.of_second, made.of_second)
        assert found.gradients_of_first is not None
        assert made.gradients_of_first is not None
        np.testing.assert_allclose(found.gradients_of_first, made.gradients_of_first, rtol=2**-8)
        assert found.gradients_of_first[1, 1] == 3 * 2**-40
        np.testing.assert_allclose(found.gradients_of_second, made.gradients_of_second, rtol=2**-8)
    assert store.pair_measures(A, key("two@base")) is None
    assert store.graph_pairs() == [made.pair]


def test_pairs_from_before_gradients_were_kept_have_none(store: Store) -> None:
    store.save_pair_measures(replace(stored(store), gradients_of_first=None, gradients_of_second=None))
    found = store.pair_measures(A, B)
    assert found is not None
    assert (found.gradients_of_first, found.gradients_of_second) == (None, None)
    assert store.check() == []


def test_graphs_that_are_whole_need_no_edges(store: Store) -> None:
    for one in (A, B):
        store.save_graph(replace(graph(one), uncut=None))
    store.save_pair_measures(replace(stored(store), gradients_of_first=None, gradients_of_second=None))
    assert [found.n_edges for found in store.graph_pair(A, B)] == [30, 30]


@pytest.mark.parametrize("run", ["one", "two"])
def test_a_deleted_run_takes_along_what_speaks_of_it(store: Store, run: str) -> None:
    for name in ("one", "two"):
        add_run(store, name)
    for other in (key("two@base"), key("three@base")):
        store.save_pair_measures(replace(stored(store), pair=GraphPair.of(A, other)))
    store.delete_run(run)
    left = {(A, B), (A, key("three@base"))} if run == "two" else set()
    assert set(store.graph_pairs()) == {GraphPair.of(*pair) for pair in left}


def test_damage_is_named(store: Store) -> None:
    stored(store)
    path = store.workspace / "pairs" / f"{GraphPair.of(A, B).hash}.safetensors"
    whole = path.read_bytes()

    def changed(**arrays: np.ndarray) -> None:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
        save_file(load_file(path) | arrays, path, metadata=metadata)

    def without(name: str) -> None:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
        save_file({other: array for other, array in load_file(path).items() if other != name}, path, metadata=metadata)

    for change, says in (
        (lambda: path.write_bytes(whole[:-3]), "complete"),
        (lambda: save_file(load_file(path), path), "metadata"),
        (lambda: changed(of_first=np.array([np.nan], np.float32)), "finite"),
        (lambda: changed(of_second=np.zeros((1, 1), np.float32)), "list"),
        (lambda: changed(gradients_of_first=np.zeros((1, 1), np.float32)), "table of uint16"),
        (lambda: changed(gradients_of_second=np.full((1, 1), 0x7F80, np.uint16)), "finite"),
        (lambda: without("gradients_of_second"), "complete"),
    ):
        change()
        with pytest.raises(Damaged, match=says):
            store.pair_measures(A, B)
        assert [problem.path for problem in store.check()] != []
        path.write_bytes(whole)
