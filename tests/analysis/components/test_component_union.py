"""Circuits of subtasks as one, and how much of the whole model's work a circuit does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.components.normalised import normalised
from engine.analysis.components.selection import select
from engine.analysis.components.union import united, united_scores
from engine.domain.errors import InputError
from tests.analysis.components.component_makers import SHAPE, circuit, names, scored, scores

ADD = scored({"input>a0.h0<v>": 0.8, "a0.h0>logits": 0.6, "input>m0": 0.5, "m0>logits": 0.4})
TIMES = scored({"input>a0.h1<v>": 0.9, "a0.h1>logits": 0.3, "input>m0": 0.7, "m0>logits": -0.2})
FOUR = 4 / 46


def test_shared_edges_are_averaged_over_the_parts_that_have_them():
    parts = [circuit({"input>m0", "m0>logits", "input>a0.h0<v>"}), circuit({"input>m0", "m0>logits"})]
    found = united_scores([ADD, TIMES], parts)
    # a0.h1's edges score high in the second part but are not in its circuit.
    assert np.array_equal(found, scored({"input>m0": 0.6, "m0>logits": 0.1, "input>a0.h0<v>": 0.8}))
    assert found.dtype == np.float32


def test_the_union_is_cut_to_the_size_of_the_other_circuit():
    # |mean score|: input>a0.h1 0.9, input>a0.h0 0.8, input>m0 0.6, a0.h0>logits 0.6, a0.h1>logits 0.3, m0>logits 0.1
    assert names(united([ADD, TIMES], SHAPE, share=FOUR, n_edges=6)) == {
        "input>a0.h1<v>", "input>a0.h0<v>", "input>m0", "a0.h0>logits", "a0.h1>logits", "m0>logits",
    }  # fmt: skip
    # Of the first five, m0 hangs loose: four are left, as many as asked for, and a sixth would be too many.
    assert names(united([ADD, TIMES], SHAPE, share=FOUR, n_edges=4)) == {
        "input>a0.h1<v>", "input>a0.h0<v>", "a0.h0>logits", "a0.h1>logits",
    }  # fmt: skip
    assert united([ADD, TIMES], SHAPE, share=FOUR, n_edges=46).n_edges == 6  # there are no more


def test_an_empty_union_is_told():
    with pytest.raises(InputError, match=r"6 united edges cut to 1 leave none"):
        united([ADD, TIMES], SHAPE, share=FOUR, n_edges=1)
    with pytest.raises(InputError, match="no subtask"):
        united([], SHAPE, share=FOUR, n_edges=3)


@given(st.data())
@settings(max_examples=50)
def test_a_part_united_with_itself_is_the_part(data: st.DataObject):
    own, share = data.draw(scores(SHAPE)), data.draw(st.floats(0.3, 1))
    try:
        part = select(own, SHAPE, share=share)
    except InputError:
        return
    for parts in ([own], [own, own, own]):
        assert np.array_equal(united(parts, SHAPE, share=share, n_edges=part.n_edges).edges, part.edges)


@given(st.data())
@settings(max_examples=50)
def test_a_union_is_of_the_parts_and_no_larger_than_asked_for(data: st.DataObject):
    parts, n_edges = data.draw(st.lists(scores(SHAPE), min_size=1, max_size=3)), data.draw(st.integers(5, 46))
    try:
        found = united(parts, SHAPE, share=0.5, n_edges=n_edges)
    except InputError:
        return
    assert 0 < found.n_edges <= n_edges
    members = np.any([select(one, SHAPE, share=0.5).edges for one in parts], axis=0)
    assert not (found.edges & ~members).any()


WHOLE, CORRUPTED = np.array([4.0, 2.0, 3.0]), np.array([-1.0, 0.0, 1.0])


def test_faithfulness_is_a_ratio_of_means():
    found = normalised(np.array([1.0, 1.0, 1.0]), WHOLE, CORRUPTED)
    assert found is not None
    assert found.value == pytest.approx((1 - 0) / (3 - 0))
    # The least and most that three redrawn pairs can say: 0 (all the third pair) and 1/2 (all the second).
    assert (found.low, found.high) == (pytest.approx(0), pytest.approx(1 / 2))


def test_the_whole_graph_is_1_and_the_empty_one_0():
    for circuit_metric, value in ((WHOLE, 1), (CORRUPTED, 0)):
        found = normalised(circuit_metric, WHOLE, CORRUPTED)
        assert found is not None
        assert (found.low, found.value, found.high) == (value, value, value)


def test_where_corruption_costs_nothing_nothing_can_be_said():
    assert normalised(WHOLE, CORRUPTED, CORRUPTED) is None
    assert normalised(WHOLE, np.array([1.0, 0, -1]), np.array([0.0, 0, 0])) is None  # equal on average
    with pytest.raises(InputError, match="no pair"):
        normalised(np.zeros(0), np.zeros(0), np.zeros(0))


def test_a_model_that_does_not_surely_tell_the_prompts_apart_has_no_behaviour_to_share():
    # Two of three pairs do not tell corrupted from clean: drawn alone they would divide by 0.
    assert normalised(np.array([0.5, 0, 0]), np.array([1.0, 0, 0]), np.zeros(3)) is None
    mixed = np.array([3.0, -2.0, 2.0, -2.0, 1.0, -1.0])  # the mean is above 0, by chance
    assert normalised(mixed, mixed, np.zeros(6)) is None


def test_more_pairs_say_it_more_surely():
    rng = np.random.default_rng(0)
    corrupted, whole = rng.normal(-1, 1, 400), rng.normal(2, 1, 400)
    one = corrupted + 0.7 * (whole - corrupted) + rng.normal(0, 0.3, 400)
    few, many = (normalised(one[:n], whole[:n], corrupted[:n]) for n in (20, 400))
    assert few is not None
    assert many is not None
    assert many.low < 0.7 < many.high
    assert many.high - many.low < few.high - few.low
    assert normalised(one * -1, whole * -1, corrupted * -1) == many  # a metric that falls is as good
