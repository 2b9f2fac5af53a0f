"""How alike circuits are, what changed, and in which layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.components.compare import (
    Flip,
    critical_layers,
    edge_jaccard,
    flips,
    layer_change,
    likeness,
    node_jaccard,
    paired_likeness,
)
from engine.domain.components import Circuit, ComponentShape
from engine.domain.errors import ComparisonRefused, InputError
from tests.analysis.components.component_makers import SHAPE, circuit, circuits, place, scored, whole

A = circuit({"input>a0.h0<q>", "a0.h0>logits"})
B = circuit({"input>a0.h0<k>", "a0.h0>logits", "input>logits"})
C = circuit({"input>m0", "m0>logits", "input>logits"})
OTHER = whole(ComponentShape(n_layers=2, n_heads=2, parallel=True))


def test_jaccards_by_hand():
    assert edge_jaccard(A, B) == pytest.approx(1 / 4)
    assert edge_jaccard(A, B, qkv="merged") == pytest.approx(2 / 3)  # q and k are one edge
    assert node_jaccard(A, B) == 1  # input, a0.h0, logits
    assert node_jaccard(A, C) == pytest.approx(2 / 4)
    assert edge_jaccard(A, C) == 0
    assert edge_jaccard(circuit(()), A) == 0
    assert edge_jaccard(circuit(()), circuit(())) == 1


def test_the_likeness_of_three_is_the_mean_of_three_pairs():
    found = likeness([A, B, C])
    assert found.n == 3
    assert found.edges.value == pytest.approx((1 / 4 + 0 + 1 / 5) / 3)
    assert found.nodes.value == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    # Of two circuits only, redrawn, there is but one pair: the interval spans the pairs.
    assert (found.edges.low, found.edges.high) == (0, pytest.approx(1 / 4))
    assert likeness([A, B, C]) == found


def test_the_likeness_of_circuits_at_equal_places():
    found = paired_likeness([A, A, B], [B, C, B])
    assert found.n == 3
    assert found.edges.value == pytest.approx((1 / 4 + 0 + 1) / 3)
    assert found.nodes.value == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert (found.edges.low, found.edges.high) == (0, 1)  # of all draws: one pair alone
    assert paired_likeness([A], [B], qkv="merged").edges.low == pytest.approx(2 / 3)


def test_equal_circuits_are_alike_without_doubt():
    found = likeness([B] * 4)
    assert (found.edges.low, found.edges.value, found.edges.high, found.n) == (1, 1, 1, 6)


def test_too_few_and_others_are_refused():
    with pytest.raises(InputError, match="Comparing circuits takes at least 2; there is 1"):
        likeness([A])
    with pytest.raises(InputError, match="at least one"):
        paired_likeness([], [])
    with pytest.raises(InputError, match="1 circuits cannot be compared with 2"):
        paired_likeness([A], [A, B])
    with pytest.raises(InputError, match="at least one"):
        flips([])
    for compare in (edge_jaccard, node_jaccard):
        with pytest.raises(ComparisonRefused, match="Take circuits of one model"):
            compare(A, OTHER)
    with pytest.raises(ComparisonRefused, match="2 layers with 2 heads"):
        likeness([A, B, OTHER])


def test_flips_by_hand():
    found = flips([A, B, C])
    assert found.steps == (
        Flip(edges_appeared=2, edges_vanished=1, nodes_appeared=0, nodes_vanished=0,
             edge_jaccard=1 / 4, node_jaccard=1.0),
        Flip(edges_appeared=2, edges_vanished=2, nodes_appeared=1, nodes_vanished=1,
             edge_jaccard=1 / 5, node_jaccard=1 / 2),
    )  # fmt: skip
    assert found.delta_edges == pytest.approx((3 + 4) / 2)
    assert found.delta_nodes == pytest.approx((0 + 2) / 3)


def test_flips_of_merged_edges():
    found = flips([A, B], qkv="merged")
    assert (found.steps[0].edges_appeared, found.steps[0].edges_vanished) == (1, 0)
    assert found.delta_edges == pytest.approx(1 / 2)


def test_without_change_nothing_flips():
    assert (flips([A, A, A]).delta_edges, flips([A, A, A]).delta_nodes) == (0, 0)
    assert (flips([A]).steps, flips([A]).delta_edges) == ((), 0)
    assert flips([circuit(()), A]).delta_edges is None


def test_change_falls_to_the_layer_of_the_source():
    before = scored({"input>m0": 9, "a0.h0>m1": 0.5, "a0.h1>logits": -0.25, "m1>logits": 1})
    after = scored({"input>m0": 1, "a0.h0>m1": -0.5, "m0>a1.h0<q>": 2, "m1>logits": 1.5})
    # Layer 0: 1 + 0.25 + 2; layer 1: 0.5; what leaves the input counts nowhere.
    assert layer_change(before, after, SHAPE).tolist() == pytest.approx([3.25, 0.5])
    assert layer_change(after, before, SHAPE).tolist() == pytest.approx([3.25, 0.5])
    assert layer_change(before, before, SHAPE).tolist() == [0, 0]
    with pytest.raises(ComparisonRefused, match="two checkpoints of one model"):
        layer_change(before, after[1:], SHAPE)


def test_critical_layers_are_those_that_changed_most():
    change = np.array([0.1, 0.7, 0.1, 0.9])
    assert critical_layers(change, 2) == (1, 3)
    assert critical_layers(change, 3) == (0, 1, 3)  # of equal ones the first
    assert critical_layers(change, 4) == (0, 1, 2, 3)
    for k in (5, 0):
        with pytest.raises(InputError, match=rf"{k} critical layers were asked for, but the model has 4 layers"):
            critical_layers(change, k)


@given(circuits(SHAPE), circuits(SHAPE))
def test_jaccards_are_symmetric_and_1_of_itself(a: Circuit, b: Circuit):
    for qkv in ("apart", "merged"):
        assert edge_jaccard(a, a, qkv=qkv) == 1
        assert 0 <= edge_jaccard(a, b, qkv=qkv) == edge_jaccard(b, a, qkv=qkv) <= 1
    assert node_jaccard(a, a) == 1
    assert 0 <= node_jaccard(a, b) == node_jaccard(b, a) <= 1


@given(st.lists(circuits(SHAPE), min_size=2, max_size=4))
def test_an_interval_holds_its_value(several: list[Circuit]):
    found = likeness(several)
    for one in (found.edges, found.nodes):
        assert 0 <= one.low <= one.value <= one.high <= 1 + 1e-12
    there_and_back = flips([several[0], several[1], several[0]])
    first, second = there_and_back.steps
    assert (first.edges_appeared, first.nodes_appeared) == (second.edges_vanished, second.nodes_vanished)
    assert place("input>m0") == (6, 0)
