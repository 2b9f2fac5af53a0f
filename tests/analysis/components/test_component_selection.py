"""Which edges a size chooses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.components.pruning import owner_of_input, pruned
from engine.analysis.components.selection import greedy_edges, n_of_share, select, top_edges
from engine.domain.components import Circuit, ComponentShape
from engine.domain.errors import InputError
from tests.analysis.components.component_makers import SHAPE, circuit, names, scored, scores, shapes, whole

# Worked by hand: the path over m0 is strong at its beginning and weak at its end.
SCORES = scored({
    "input>m0": -0.9, "m0>a1.h0<v>": 0.8, "a1.h0>logits": 0.1, "input>a0.h1<q>": 0.7, "a0.h1>logits": -0.6,
    "input>logits": 0.3, "input>m1": 0.05,
})  # fmt: skip


def test_the_largest_whatever_their_sign_then_pruned():
    assert names(top_edges(SCORES, SHAPE, 3)) == {"input>m0", "m0>a1.h0<v>", "input>a0.h1<q>"}
    # Of five edges the two of the broken path go.
    assert names(select(SCORES, SHAPE, n=5)) == {"input>a0.h1<q>", "a0.h1>logits", "input>logits"}
    assert select(SCORES, SHAPE, n=6).n_edges == 6


def test_a_share_is_a_number_of_edges():
    assert SHAPE.n_edges == 46  # layer 0: 6 x 1 and 3; layer 1: 6 x 4 and 6; the logits 7
    assert n_of_share(SHAPE, 5 / 46) == 5
    assert n_of_share(SHAPE, 1e-9) == 1
    assert n_of_share(SHAPE, 1.0) == 46
    assert names(select(SCORES, SHAPE, share=5 / 46)) == names(select(SCORES, SHAPE, n=5))
    assert select(SCORES, SHAPE, share=1.0).n_edges == 46


def test_a_threshold_keeps_what_reaches_it():
    assert names(select(SCORES, SHAPE, threshold=0.6 - 1e-6)) == {"input>a0.h1<q>", "a0.h1>logits"}
    assert select(SCORES, SHAPE, threshold=0.05).n_edges == 6  # nothing leaves m1


def test_greedy_grows_from_the_logits():
    # a0.h1>logits, then its q, then input>logits: m0's edges are out of reach until a1.h0 is in.
    grown = [names(greedy_edges(SCORES, SHAPE, n)) for n in range(1, 7)]
    order = ["a0.h1>logits", "input>a0.h1<q>", "input>logits", "a1.h0>logits", "m0>a1.h0<v>", "input>m0"]
    assert grown == [set(order[: n + 1]) for n in range(6)]
    assert names(select(SCORES, SHAPE, n=2, how="greedy")) == {"a0.h1>logits", "input>a0.h1<q>"}
    # The top five lose two edges where greedy keeps three: a1.h0 is in, and hangs from nothing yet.
    assert names(select(SCORES, SHAPE, n=4, how="greedy")) == set(order[:3])


def test_greedy_stops_at_the_threshold():
    assert names(select(SCORES, SHAPE, threshold=0.2, how="greedy")) == {
        "a0.h1>logits", "input>a0.h1<q>", "input>logits",
    }  # fmt: skip


def test_of_equal_scores_the_first_are_taken():
    flat = np.zeros((SHAPE.n_inputs, SHAPE.n_sources), dtype=np.float32)
    assert names(top_edges(flat, SHAPE, 2)) == {"input>a0.h0<q>", "input>a0.h1<q>"}
    assert greedy_edges(flat, SHAPE, 46).n_edges == 46


@pytest.mark.parametrize("how", ["top", "greedy"])
@pytest.mark.parametrize("n", [0, -1, 47])
def test_more_edges_than_there_are_is_told_with_both_figures(n: int, how: str):
    with pytest.raises(InputError, match=rf"{n} edges was asked for, but the model has 46.*1 to 46"):
        select(SCORES, SHAPE, n=n, how=how)


def test_nothing_left_is_told():
    with pytest.raises(InputError, match=r"empty: 2 of 46 edges were chosen.*none of them lies.*another way .greedy."):
        select(SCORES, SHAPE, n=2)
    with pytest.raises(InputError, match=r"0 of 46 edges were chosen \(\|score\| >= 7\)"):
        select(SCORES, SHAPE, threshold=7.0)


@pytest.mark.parametrize("size", [{}, {"n": 2, "share": 0.1}, {"n": 1, "share": 0.5, "threshold": 1.0}])
def test_one_size_is_given(size: dict):
    with pytest.raises(InputError, match="Give one size"):
        select(SCORES, SHAPE, **size)


@pytest.mark.parametrize("size", [{"share": 0.0}, {"share": 1.01}, {"share": float("nan")},
                                  {"threshold": 0.0}, {"threshold": float("nan")}])  # fmt: skip
def test_sizes_out_of_range_are_refused(size: dict):
    with pytest.raises(InputError, match="must be above 0"):
        select(SCORES, SHAPE, **size)


def test_scores_that_cannot_be_ranked_are_refused():
    broken = SCORES.copy()
    broken[0, 0] = np.nan
    with pytest.raises(InputError, match="1 of the scores are not finite"):
        select(broken, SHAPE, n=3)
    with pytest.raises(InputError, match=r"shape \(15, 6\).*15 inputs and 7 sources"):
        select(SCORES[:, 1:], SHAPE, n=3)


@given(st.data())
@settings(max_examples=60)
def test_the_fast_greedy_is_the_slow_one(data: st.DataObject):
    shape = data.draw(shapes)
    own = data.draw(scores(shape))
    n = data.draw(st.integers(1, shape.n_edges))
    assert np.array_equal(greedy_edges(own, shape, n).edges, slow_greedy(own, shape, n))


def slow_greedy(own: np.ndarray, shape: ComponentShape, n: int) -> np.ndarray:
    """Looks at every edge again for every one that it takes."""
    edges, inside = np.zeros(own.shape, dtype=bool), {shape.n_sources}
    owners, mask = owner_of_input(shape), shape.edge_mask()
    for _ in range(n):
        free = mask & ~edges & np.isin(owners, list(inside))[:, None]
        row, source = np.unravel_index(np.argmax(np.where(free, np.abs(own), -1)), own.shape)
        edges[row, source] = True
        inside.add(int(source))
    return edges


@given(st.data())
@settings(max_examples=60)
def test_what_is_chosen_has_the_size_asked_for_and_holds_the_smaller_choice(data: st.DataObject):
    shape = data.draw(shapes)
    own = data.draw(scores(shape))
    n = data.draw(st.integers(2, shape.n_edges))
    for choose in (top_edges, greedy_edges):
        larger, smaller = choose(own, shape, n), choose(own, shape, n - 1)
        assert (larger.n_edges, smaller.n_edges) == (n, n - 1)
        assert not (smaller.edges & ~larger.edges).any()
        assert not (larger.edges & ~shape.edge_mask()).any()
        assert not (pruned(smaller).edges & ~pruned(larger).edges).any()
    inside, outside = larger.edges, shape.edge_mask() & ~top_edges(own, shape, n).edges
    assert inside.any()
    if outside.any():
        assert np.abs(own[top_edges(own, shape, n).edges]).min() >= np.abs(own[outside]).max()


def test_all_edges_are_the_whole_graph():
    for how in ("top", "greedy"):
        chosen = select(SCORES, SHAPE, n=SHAPE.n_edges, how=how)
        assert isinstance(chosen, Circuit)
        assert np.array_equal(chosen.edges, whole().edges)
    assert circuit(()).n_edges == 0
