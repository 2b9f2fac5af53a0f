"""What of a circuit is on a path, and the nodes that makes."""

import networkx as nx
import numpy as np
from hypothesis import given, settings

from engine.analysis.components.pruning import collapsed, n_nodes, node_mask, node_names, owner_of_input, pruned
from engine.domain.components import Circuit, ComponentShape
from tests.analysis.components.component_makers import SHAPE, circuit, circuits, names, shapes, whole


def test_only_edges_between_input_and_logits_are_kept():
    path = {"input>a0.h1<k>", "a0.h1>m1", "m1>logits"}
    dead_ends = {
        "input>m0",  # nothing leaves m0
        "a0.h0>logits",  # nothing enters a0.h0
        "a1.h0>logits", "a1.h1>m1",
    }  # fmt: skip
    one = pruned(circuit(path | dead_ends))
    assert names(one) == path
    assert node_names(one) == {"input", "a0.h1", "m1", "logits"}
    assert (one.n_edges, n_nodes(one)) == (3, 4)


def test_a_head_is_alive_by_any_of_its_three_inputs():
    for which in "qkv":
        assert pruned(circuit({f"input>a1.h1<{which}>", "a1.h1>logits"})).n_edges == 2


def test_all_inputs_of_a_useful_head_are_kept_and_none_of_another():
    kept = {"input>a0.h0<q>", "input>a0.h0<v>", "a0.h0>a1.h0<k>", "a1.h0>logits"}
    assert names(pruned(circuit(kept | {"input>a0.h1<q>", "a0.h0>a1.h1<k>"}))) == kept


def test_a_chain_that_hangs_from_nothing_goes_altogether():
    assert pruned(circuit({"m0>a1.h0<v>", "a1.h0>m1", "m1>logits"})).n_edges == 0
    assert pruned(circuit({"input>m0", "m0>a1.h0<v>", "a1.h0>m1"})).n_edges == 0


def test_the_input_may_feed_the_logits_alone():
    one = pruned(circuit({"input>logits"}))
    assert node_names(one) == {"input", "logits"}


def test_a_node_is_there_with_an_edge_in_or_out_of_it():
    assert node_names(circuit({"a0.h0>a1.h1<v>"})) == {"a0.h0", "a1.h1"}
    assert n_nodes(circuit(())) == 0
    assert node_names(circuit(())) == frozenset()


def test_q_k_and_v_become_one_edge():
    merged = collapsed(circuit({"input>a0.h1<q>", "input>a0.h1<v>", "m0>a1.h0<k>", "input>m1", "m1>logits"}))
    assert merged.shape == (7, 7)
    sources, targets = SHAPE.sources(), (*SHAPE.sources()[1:], "logits")
    found = {f"{sources[column]}>{targets[row]}" for row, column in zip(*np.nonzero(merged), strict=True)}
    assert found == {"input>a0.h1", "m0>a1.h0", "input>m1", "m1>logits"}


def test_the_counts_of_a_whole_collapsed_graph():
    # 2 layers: heads 2 x 1, m0 3; heads 2 x 4, m1 6; logits 7
    assert collapsed(whole()).sum() == 2 + 3 + 8 + 6 + 7
    gpt2 = ComponentShape(n_layers=12, n_heads=12)
    assert (whole(gpt2).n_edges, n_nodes(whole(gpt2))) == (32_491, 158)


def test_owners_name_the_node_of_each_input():
    nodes = (*SHAPE.sources(), "logits")
    assert [nodes[owner] for owner in owner_of_input(SHAPE)] == [name.partition("<")[0] for name in SHAPE.inputs()]


@given(shapes)
def test_the_whole_graph_stays_whole(shape: ComponentShape):
    assert np.array_equal(pruned(whole(shape)).edges, shape.edge_mask())
    assert n_nodes(whole(shape)) == shape.n_nodes


@given(circuits())
def test_pruned_is_a_subset_and_stays_as_it_is(one: Circuit):
    once = pruned(one)
    assert not (once.edges & ~one.edges).any()
    assert np.array_equal(pruned(once).edges, once.edges)
    assert not once.n_edges or {"input", "logits"} <= node_names(once)


@given(circuits())
@settings(max_examples=50)
def test_pruning_is_what_a_graph_library_finds(one: Circuit):
    inputs, sources = [name.partition("<")[0] for name in one.shape.inputs()], one.shape.sources()
    graph = nx.DiGraph([(sources[c], inputs[r]) for r, c in zip(*np.nonzero(one.edges), strict=True)])
    graph.add_nodes_from(["input", "logits"])
    after = nx.descendants(graph, "input") | {"input"}
    before = nx.ancestors(graph, "logits") | {"logits"}
    expected = {name for name in names(one) if _ends_in(name, after, before)}
    assert names(pruned(one)) == expected
    assert int(node_mask(pruned(one)).sum()) == (len(after & before) if expected else 0)


def _ends_in(edge: str, after: set[str], before: set[str]) -> bool:
    source, _, target = edge.partition(">")
    return source in after and target.partition("<")[0] in before
