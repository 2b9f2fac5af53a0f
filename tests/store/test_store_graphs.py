"""A graph comes back bit for bit, is small on the disk, and a damaged file is known as such."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from engine.domain.errors import Damaged, NotFound
from engine.domain.graphs import AttributionGraph, TraceSettings
from engine.store import Store
from tests.store.artefacts import add_comparison, add_run, comparison, graph, key, same_graph


def file_of(store: Store) -> Path:
    return store.workspace / "graphs" / f"{key().hash}.safetensors"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_nodes=st.integers(5, 400), n_edges=st.integers(0, 500), seed=st.integers(0, 2**32 - 1))
def test_the_round_trip_is_exact(store: Store, n_nodes: int, n_edges: int, seed: int) -> None:
    made = graph(n_nodes=n_nodes, n_edges=n_edges, seed=seed)
    store.save_graph(made)
    assert same_graph(store.graph(made.key), made)


@pytest.mark.parametrize("most", [29, 30, 31])
def test_a_graph_of_before_its_measures_were_kept(store: Store, most: int) -> None:
    """Whether it was cut is known only of one that has fewer edges than it may have."""
    limited = key().model_copy(update={"settings": TraceSettings(max_edges=most)})
    made = replace(graph(limited), parts=None, uncut=None, is_whole=most > 30)
    store.save_graph(made)
    with safe_open(store.workspace / "graphs" / f"{limited.hash}.safetensors", framework="np") as file:
        assert not {"part", "constant", "left_out", "moved", "inputs", "kept_edges"} & set(file.keys())
    assert same_graph(store.graph(made.key), made)


def test_a_graph_that_was_not_cut_is_whole(store: Store) -> None:
    made = graph()
    most = made.key.model_copy(update={"settings": TraceSettings(max_edges=made.n_edges)})  # as many as it may have
    made = replace(made, key=most, uncut=None, is_whole=True)
    store.save_graph(made)
    assert same_graph(store.graph(made.key), made)


@pytest.mark.parametrize("n_nodes", [65_535, 65_536, 65_537])
def test_row_numbers_beyond_16_bits(store: Store, n_nodes: int) -> None:
    made = graph(n_nodes=n_nodes, n_edges=100)
    made.source[:2] = n_nodes - 1
    store.save_graph(made)
    assert same_graph(store.graph(made.key), made)
    expected = "U16" if n_nodes <= 65_536 else "I32"
    with safe_open(file_of(store), framework="np") as file:
        assert file.get_slice("source").get_dtype() == expected


def test_extreme_values_survive(store: Store) -> None:
    made = graph()
    made.index[0] = 2**40
    made.position[:] = 0
    made = replace(made, n_layers=2**20, tokens=tuple("t" * 3))
    made.layer[0] = 2**19
    made.weight[:3] = [1e-45, -3e38, 1e-8]
    store.save_graph(made)
    assert same_graph(store.graph(made.key), made)


def test_an_edge_takes_eight_bytes(store: Store) -> None:
    store.save_graph(graph(n_nodes=500, n_edges=50_000))
    # its own arrays; two logits' parts, constant, left out; inputs, influence, kept
    of_a_node = 24 + 4 * 4 + 9
    assert file_of(store).stat().st_size < 50_000 * 8.2 + 500 * of_a_node + 4096


def test_the_same_graph_makes_the_same_file(store: Store) -> None:
    store.save_graph(graph())
    first = file_of(store).read_bytes()
    store.save_graph(graph())
    assert file_of(store).read_bytes() == first


def test_every_truncation_is_noticed(store: Store) -> None:
    store.save_graph(graph())
    whole = file_of(store).read_bytes()
    for length in [*range(0, len(whole), 61), len(whole) - 1]:
        file_of(store).write_bytes(whole[:length])
        with pytest.raises(Damaged, match=key().hash):
            store.graph(key())
        assert [problem.path for problem in store.check() if problem.kind == "damaged"] == [file_of(store)]


def change(path: Path, **arrays: np.ndarray | None) -> None:
    """Write the file again with other arrays, its metadata kept."""
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    kept = {name: array for name, array in (load_file(path) | arrays).items() if array is not None}
    save_file(kept, path, metadata=metadata)


def test_files_of_before_hold_an_array_more(store: Store) -> None:
    """Each node's influence by the edges that were kept, which is not read."""
    made = replace(graph(), uncut=None, is_whole=True)
    store.save_graph(made)
    change(file_of(store), influence=np.zeros(12, np.float32))
    assert same_graph(store.graph(key()), made)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"weight": np.ones(29, np.float32)}, r"source has shape \(30,\), expected \(29,\)"),
        ({"kind": np.zeros(11, np.uint8)}, r"layer has shape"),
        ({"source": np.full(30, 12, np.uint16)}, "source goes from 12 to 12, allowed is 0 to 11"),
        ({"target": np.full(30, -1, np.int32)}, "target goes from -1"),
        ({"target": np.zeros(30, np.float64)}, "target is float64"),
        ({"kind": np.full(12, 4, np.uint8)}, "kind goes from 4 to 4"),
        ({"kind": np.repeat(np.array([3, 0], np.uint8), [2, 10])}, "not ordered"),
        ({"kind": np.repeat(np.array([0, 3], np.uint8), [9, 3])}, "3 logit nodes for 2 targets"),
        ({"layer": np.full(12, 5, np.int16)}, "layer goes from 5"),
        ({"position": np.full(12, 3, np.int16)}, "position goes from 3"),
        ({"weight": np.full(30, np.nan, np.float32)}, "weight has values that are not finite"),
        ({"activation": None}, "it has no activation"),
        ({"token_ids": np.zeros((3, 1), np.int64)}, "token_ids has shape"),
        ({"part": np.zeros((2, 11), np.float32)}, r"part has shape \(2, 11\), expected \(2, 12\)"),
        ({"moved": np.full((2, 3, 3), np.inf, np.float32)}, "moved has values that are not finite"),
        ({"constant": np.zeros(12)}, "constant is float64"),
        ({"left_out": None}, "it has no left_out"),
        ({"inputs": None}, "it has no inputs"),
        ({"kept_edges": np.ones(5, np.uint8)}, r"kept_edges has shape \(5,\), expected \(4,\)"),
        ({"kept_nodes": np.ones(12, np.uint8)}, "kept_nodes is uint8, expected bool"),
        ({"influence": np.full(12, np.nan, np.float32)}, "influence has values that are not finite"),
    ],
)
def test_what_contradicts_itself_is_damaged(store: Store, arrays: dict[str, Any], reason: str) -> None:
    store.save_graph(graph())
    change(file_of(store), **arrays)
    with pytest.raises(Damaged, match=reason):
        store.graph(key())


@pytest.mark.parametrize("metadata", [None, {"graph": "{"}, {"graph": "{}"}, {"other": "1"}])
def test_metadata_that_is_not_ours(store: Store, metadata: dict[str, str] | None) -> None:
    store.save_graph(graph())
    save_file(load_file(file_of(store)), file_of(store), metadata=metadata)
    with pytest.raises(Damaged, match="metadata"):
        store.graph(key())


def test_a_graph_under_anothers_name(store: Store) -> None:
    store.save_graph(graph())
    other = key(prompt="another")
    file_of(store).rename(file_of(store).with_name(f"{other.hash}.safetensors"))
    with pytest.raises(Damaged, match="not the hash"):
        store.graph(other)


def test_a_graph_that_contradicts_itself_is_not_saved(store: Store) -> None:
    made = graph()
    made.source[0] = 12
    with pytest.raises(ValueError, match="source goes from"):
        store.save_graph(made)
    assert not file_of(store).exists()


def test_lists_and_lookups(store: Store) -> None:
    keys = [key(checkpoint, prompt) for checkpoint in ("one@base", "two@50%") for prompt in ("b", "a")]
    for made_by in keys:
        store.save_graph(graph(made_by))
    assert store.graph_keys() == sorted(keys, key=lambda one: (one.checkpoint, one.prompt))
    assert [one.prompt for one in store.graph_keys("two@50%")] == ["a", "b"]
    assert store.graph_keys("two@25%") == []
    assert store.has_graph(keys[0])
    assert not store.has_graph(key(prompt="c"))
    with pytest.raises(NotFound, match="two@50%: c"):
        store.graph(key("two@50%", "c"))


def test_comparisons(store: Store) -> None:
    first, second = add_comparison(store), add_comparison(store, "one@base", "one@50%")
    assert set(store.comparisons()) == {first, second}
    assert store.comparison("one@base", "one@100%", "the cat is blarf") == first
    assert store.comparison("one@base", "one@100%", "the cat is blarf", "shared") == first
    assert store.comparison("one@base", "one@100%", "the cat is blarf", "other") is None
    assert store.comparison("one@100%", "one@base", "the cat is blarf") is None
    assert store.comparison("one@base", "one@100%", "the cat") is None


def test_a_comparison_without_its_graphs_is_none(store: Store) -> None:
    made = add_comparison(store)
    (store.workspace / "graphs" / f"{made.graph_b.hash}.safetensors").unlink()
    assert store.comparison("one@base", "one@100%", "the cat is blarf") is None
    assert any(made.graph_b.hash in problem.reason for problem in store.check())


def test_a_recomputed_comparison_hides_the_bundled_one(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    bundled = add_comparison(demo)
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    assert store.comparisons() == [bundled]
    assert same_graph(store.graph(bundled.graph_a), demo.graph(bundled.graph_a))
    newer = comparison().model_copy(
        update={"graph_b": key("one@100%", "the cat is blarf").model_copy(update={"targets": ()})}
    )
    store.save_graph(graph(newer.graph_b))
    store.save_comparison(newer)
    assert store.comparisons() == [newer]
    assert store.comparison("one@base", "one@100%", "the cat is blarf") == newer


def test_a_damaged_comparison(store: Store) -> None:
    made = add_comparison(store)
    path = store.workspace / "comparisons" / f"{made.key.hash}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["key"]["prompt"] = "another"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(Damaged, match="is stored as"):
        store.comparison("one@base", "one@100%", "the cat is blarf", "shared")


def test_deleting_a_run_takes_what_speaks_of_it(store: Store) -> None:
    add_run(store, "one")
    add_run(store, "two")
    add_comparison(store, "one@base", "two@base")
    kept = graph(key("two@50%"))
    store.save_graph(kept)
    store.delete_run("one")
    assert store.comparisons() == []
    assert {made_by.checkpoint for made_by in store.graph_keys()} == {"two@base", "two@50%"}
    assert store.check() == []


def ordered() -> AttributionGraph:
    """Edges by target, as they are traced."""
    whole = graph()
    order = np.argsort(whole.target, kind="stable")
    return replace(whole, source=whole.source[order], target=whole.target[order], weight=whole.weight[order])


def test_edges_in_order_of_their_targets_take_less_room(store: Store) -> None:
    store.save_graph(graph())
    loose = len(file_of(store).read_bytes())
    store.save_graph(ordered())
    assert "target" not in load_file(file_of(store))
    assert len(file_of(store).read_bytes()) < loose
    read = store.graph(key())
    for name in ("source", "target", "weight"):
        wanted = getattr(ordered(), name)
        assert np.array_equal(getattr(read, name), wanted)
        assert getattr(read, name).dtype == wanted.dtype
    nothing = np.zeros(0, np.int32)
    store.save_graph(replace(graph(), uncut=None, source=nothing, target=nothing, weight=nothing.astype(np.float32)))
    assert store.graph(key()).n_edges == 0


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (np.zeros(12, np.uint16), "does not count 30 edges"),
        (np.full(12, 2**31 - 1, np.int32), "does not count 30 edges"),
        (np.array([31, -1, *[0] * 10], np.int32), "does not count 30 edges"),
        (np.full((1, 1), 30, np.uint16), "does not count 30 edges"),
        (np.full(12, 2.5, np.float32), "n_inputs is float32"),
        (np.array([*[0] * 14, 30], np.uint16), "target goes from 14 to 14"),
        (None, "it has no target"),
    ],
)
def test_counts_of_edges_that_cannot_be(store: Store, counts: np.ndarray | None, reason: str) -> None:
    store.save_graph(ordered())
    change(file_of(store), n_inputs=counts)
    with pytest.raises(Damaged, match=reason):
        store.graph(key())
