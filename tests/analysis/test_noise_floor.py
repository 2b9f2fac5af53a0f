"""How different circuits are where nothing was learned between them."""

from collections import Counter

import numpy as np
import pytest

from engine.analysis.noise_floor import noise_floor, split_halves
from engine.domain.measures import MEASURES
from tests.analysis.circuit_makers import around, by_hand, node, prompt, prompts, random_circuit, renamed

A, B, C, D = (node(0, index) for index in range(4))


def test_identical_graphs_have_no_noise():
    same = random_circuit(0)
    floor = noise_floor([renamed(same, own) for own in prompts(3)])
    assert tuple(floor) == MEASURES
    assert {(f.halves, f.halves_high, f.paraphrases, f.edge) for f in floor.values()} == {(0, 0, 0, 0)}


def test_by_hand():
    """Two words in two phrasings: A in the first, A in one word's and B in the other's second.

    Halves with both words in each: {w0 t0, w1 t0} against {w0 t1, w1 t1}, means A 1 against A .5 B .5: 1 - .5 / 1.5;
    or {w0 t0, w1 t1} against {w0 t1, w1 t0}, A .5 B .5 against A 1: the same. Phrasings: the first of these.
    """
    w0t0, w0t1, w1t0, w1t1 = prompts(2)
    circuits = [by_hand(w0t0, {A: 1}), by_hand(w0t1, {A: 1}), by_hand(w1t0, {A: 1}), by_hand(w1t1, {B: 1})]
    floor = noise_floor(circuits)
    assert (floor["influence"].halves, floor["influence"].halves_high) == pytest.approx((2 / 3, 2 / 3))
    assert floor["influence"].paraphrases == pytest.approx(2 / 3)
    assert floor["node_jaccard"].halves == pytest.approx(1 / 2)  # A against A and B
    assert floor["edge_jaccard"].edge == 0  # there is no edge


def test_phrasings_are_compared_on_the_words_that_both_have():
    """t0 and t1 share w0 (A and A), t1 and t2 share w1 (A and B): mean of 0 and 1. t0 and t2 share no word."""
    pairs = [("w0", "t0", A), ("w0", "t1", A), ("w1", "t1", A), ("w1", "t2", B)]
    floor = noise_floor([by_hand(prompt(word, template), {name: 1}) for word, template, name in pairs])
    assert floor["influence"].paraphrases == pytest.approx(0.5)


def test_one_phrasing_has_halves_alone():
    floor = noise_floor([by_hand(own, {node(0, row): 1}) for row, own in enumerate(prompts(4, 1))])
    assert all(f.paraphrases is None for f in floor.values())
    assert floor["influence"].edge == floor["influence"].halves_high == 1  # words are split: nothing in common


def test_fewer_than_two_prompts_have_no_floor():
    assert noise_floor([]) == {}
    assert noise_floor([random_circuit(0)]) == {}


def test_order_does_not_matter_and_the_seed_decides():
    circuits = [random_circuit(row, own) for row, own in enumerate(prompts(4))]
    floor = noise_floor(circuits)
    assert noise_floor(circuits[::-1]) == floor
    assert noise_floor(circuits, seed=1) != floor
    for one in floor.values():
        assert 0 < one.halves <= one.halves_high <= 1
        assert one.edge == max(one.halves_high, one.paraphrases or 0)


def test_noise_falls_with_more_prompts():
    edges = []
    for n_words in (2, 8, 32):
        rng = np.random.default_rng(0)
        floor = noise_floor([around(own, 1, rng, jitter=0.8) for own in prompts(n_words)])
        edges.append(floor["influence"].edge)
    assert edges[0] > edges[1] > edges[2] > 0


@pytest.mark.parametrize("seed", range(20))
def test_halves_share_words_and_no_prompt(seed):
    """Of random words with 1 to 5 prompts each."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, size=rng.integers(2, 9)).tolist()
    own = [prompt(f"w{word}", f"t{row}") for word, n in enumerate(counts) for row in range(n)]
    first, second = split_halves(own, rng)
    assert (first ^ second).all()  # each prompt is in one of them
    assert abs(int(first.sum()) - int(second.sum())) <= 1
    words = np.array([one.constraint for one in own])
    in_first, in_second = Counter(words[first].tolist()), Counter(words[second].tolist())
    for word, n in enumerate(counts):
        assert abs(in_first[f"w{word}"] - in_second[f"w{word}"]) <= 1
        if n >= 2:
            assert in_first[f"w{word}"]
            assert in_second[f"w{word}"]


def test_splits_differ():
    own = prompts(6)
    rng = np.random.default_rng(0)
    assert len({tuple(split_halves(own, rng)[0].tolist()) for _ in range(20)}) > 10


def test_hundreds_of_phrasings_are_sampled():
    circuits = [around(prompt("w", f"t{row:03d}"), 1, np.random.default_rng(row)) for row in range(150)]
    floor = noise_floor(circuits)["influence"]
    assert floor.paraphrases is not None
    assert floor.halves < floor.paraphrases  # single prompts differ more than halves of 75
