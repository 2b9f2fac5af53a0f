"""How much a circuit changed: each measure by hand, and what holds for all of them."""

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.change import circuit_change
from engine.analysis.measures import MEASURES as FUNCTIONS
from engine.analysis.prompt_circuits import PromptCircuit, prompt_circuit
from engine.domain.errors import ComparisonRefused
from engine.domain.measures import MEASURE_TITLES, MEASURES, Floor
from tests.analysis.circuit_makers import around, by_hand, node, prompt, prompts, random_circuit, renamed
from tests.analysis.micro_graphs import micro_a, micro_b, probe

NO_FLOOR = ({}, {})
A, B, C, D = (node(0, index) for index in range(4))


def values(before: list[PromptCircuit], after: list[PromptCircuit]) -> dict[str, float]:
    return {measure: change.value for measure, change in circuit_change(before, after, NO_FLOOR).items()}


def test_every_measure_has_its_function():
    assert tuple(FUNCTIONS) == MEASURES
    assert set(MEASURE_TITLES) == set(MEASURES)


def test_micro_graphs_by_hand():
    """Pruned, A has features 5 7 3 4, tokens and outputs: 8 nodes, 8 edges. B's are worked out here:

    shares   x→9 1, x→7 1, 9→3 .75, 7→3 .25, 7→4 .5, e01→4 .5, 3→y0 .5, 4→y0 -.5, 4→y1 .5, e11→y1 .5
    nodes    f4 .5 x .25 + .5 x .75 = .5, e11 .375, x .375, f7 .28125, e01 .25, f3 .125, f9 .09375: sum 2, of which
             the first five are 1.78125 (.89), the first four 1.53 (.77): f3 and f9 go at .8
    edges    the six between what is left; the weakest (4→y0) has .25 of 1.9375 = .13, more than .02: all stay

    influence   smaller: f7 .28125, f4 .3125, x .375, y0 .25, y1 .25 = 1.46875; sums 3.3125 and 2.78125
                change 1 - 1.46875 / (3.3125 + 2.78125 - 1.46875) = 1 - 1.46875 / 4.625
    shares      smaller: x→7 1, 7→4 .5, 4→y0 .25 (both negative), 4→y1 .5 = 2.25; sums 5 and 3.5: 1 - 2.25 / 6.25
    nodes       both have f7 f4 <bos> x y0 y1, either has 10: 1 - 6 / 10
    edges       both have the four above, either has 8 + 6 - 4 = 10: 1 - 4 / 10
    """
    own = probe("x").model_copy(update={"template": "{n}"})
    found = values([prompt_circuit(own, micro_a())], [prompt_circuit(own, micro_b())])
    assert found == pytest.approx(
        {"influence": 1 - 1.46875 / 4.625, "edge_similarity": 0.64, "node_jaccard": 0.4, "edge_jaccard": 0.6}
    )


def test_means_of_five_prompts_by_hand():
    """Five prompts, so two (a quarter is 1.25) must keep a node or edge for it to belong.

    before: A 1 in all; B 1 in two; C 1 in one.      means A 1, B .4, C .2; only A and B belong
    after:  A .5 in all; C 1 in two; D .5 in one.    means A .5, C .4, D .1
    influence: smaller .5 + .2 = .7; larger 1 + .4 + .4 + .1 = 1.9
    nodes: as ends of edges B and C are there in all prompts after: both have A B, either has A B C
    edges: A→B has .5 twice before (mean .2), -.5 twice after (-.2): nothing shared, .4 apart; A→C .5 in one prompt
    before and in all after: .1 of .5. So the smaller is .1, the larger .2 + .2 + .5 = .9; both members before: A→B
    alone, after A→B and A→C: 1 of 2.
    """
    five = prompts(5, 1)
    before, after = [], []
    for row, own in enumerate(five):
        edges = {(A, B): 0.5} if row < 2 else {}
        nodes = {A: 1.0} | ({B: 1.0} if row < 2 else {}) | ({C: 1.0} if row == 4 else {})
        before.append(by_hand(own, nodes, edges | ({(A, C): 0.5} if row == 4 else {})))
        nodes = {A: 0.5} | ({C: 1.0} if row > 2 else {}) | ({D: 0.5} if row == 0 else {})
        zero = {B: 0.0, C: nodes.get(C, 0.0)}  # ends of edges that have no influence of their own
        after.append(by_hand(own, nodes | zero, ({(A, B): -0.5} if row > 2 else {}) | {(A, C): 0.5}))
    found = values(before, after)
    assert found["influence"] == pytest.approx(1 - 0.7 / 1.9)
    assert found["edge_similarity"] == pytest.approx(1 - 0.1 / 0.9)
    assert found["edge_jaccard"] == pytest.approx(1 - 1 / 2)
    assert found["node_jaccard"] == pytest.approx(1 - 2 / 3)


def test_a_sign_that_turned_shares_nothing():
    own = prompt()
    before, after = (by_hand(own, {A: 1, B: 1}, {(A, B): sign * 0.5}) for sign in (1, -1))
    found = values([before], [after])
    assert found == {"influence": 0, "edge_similarity": 1, "node_jaccard": 0, "edge_jaccard": 0}


def test_nothing_in_common_is_1_and_nothing_at_all_is_0():
    own = prompt()
    one, other = by_hand(own, {A: 1, B: 2}, {(A, B): 0.5}), by_hand(own, {C: 1, D: 2}, {(C, D): 0.5})
    assert set(values([one], [other]).values()) == {1.0}
    empty = by_hand(own, {})
    assert set(values([empty], [empty]).values()) == {0.0}
    assert set(values([empty], [one]).values()) == {1.0}


@pytest.mark.parametrize("seed", range(3))
def test_invariants(seed):
    """Nothing changes from a circuit to itself, the sides may be swapped, all is within 0 and 1, in any order."""
    both = prompts(3)
    before = [random_circuit(100 * seed + row, own) for row, own in enumerate(both)]
    after = [random_circuit(100 * seed + 50 + row, own) for row, own in enumerate(both)]
    still = circuit_change(before, before, NO_FLOOR)
    assert {(c.value, c.low, c.high) for c in still.values()} == {(0.0, 0.0, 0.0)}
    there, back = circuit_change(before, after, NO_FLOOR), circuit_change(after, before, NO_FLOOR)
    for measure, change in there.items():
        assert 0 < change.value <= 1
        assert 0 <= change.low <= change.value <= change.high <= 1
        assert (change.value, change.low, change.high) == pytest.approx(
            (back[measure].value, back[measure].low, back[measure].high), abs=1e-12
        )
    assert circuit_change(before[::-1], after[2:] + after[:2], NO_FLOOR) == there
    assert circuit_change(before, after, NO_FLOOR, seed=1) != there  # the seed decides the interval


def slow_influence(before: list[PromptCircuit], after: list[PromptCircuit]) -> float:
    """The same with dictionaries, one prompt after the other."""
    means: list[dict[int, float]] = []
    for side in (before, after):
        total: dict[int, float] = {}
        for one in side:
            for name, value in zip(one.nodes.tolist(), one.influence.tolist(), strict=True):
                total[name] = total.get(name, 0) + value / len(side)
        means.append(total)
    names = means[0].keys() | means[1].keys()
    pairs = [(means[0].get(name, 0), means[1].get(name, 0)) for name in names]
    return 1 - sum(min(pair) for pair in pairs) / sum(max(pair) for pair in pairs)


@pytest.mark.parametrize("seed", range(3))
def test_fast_is_slow(seed):
    both = prompts(4)
    before, after = ([random_circuit(start + row, own) for row, own in enumerate(both)] for start in (seed, seed + 90))
    assert values(before, after)["influence"] == pytest.approx(slow_influence(before, after))


def test_the_interval_is_that_of_resampled_prompts():
    """Two prompts, one unchanged, one gone from A to B: resamples hold 0, 1 or 2 of each, so changes of 0, 1 and 2/3:
    means A .5 + .5 = 1 before, A .5 and B .5 after: smaller .5, larger 1.5."""
    still, moved = prompts(2, 1)
    before = [by_hand(still, {A: 1}), by_hand(moved, {A: 1})]
    after = [by_hand(still, {A: 1}), by_hand(moved, {B: 1})]
    change = circuit_change(before, after, NO_FLOOR)["influence"]
    assert (change.low, change.value, change.high) == pytest.approx((0, 2 / 3, 1))


def scaled(circuit: PromptCircuit) -> PromptCircuit:
    """Every second node has four times the influence."""
    factor = np.where(np.arange(len(circuit.nodes)) % 2, 4.0, 1.0)
    return replace(circuit, influence=circuit.influence * factor)


def test_the_interval_holds_the_value_and_shrinks_with_more_prompts():
    widths = []
    for n_words in (4, 16, 64):
        found = []
        for seed in range(5):
            rng, own = np.random.default_rng(seed), prompts(n_words)
            before = [around(one, 1, rng, jitter=0.8) for one in own]
            after = [scaled(around(one, 1, rng, jitter=0.8)) for one in own]
            change = circuit_change(before, after, NO_FLOOR)
            assert all(c.low <= c.value <= c.high for c in change.values())
            found.append(change["influence"].high - change["influence"].low)
        widths.append(np.mean(found))
    assert widths[0] > 1.3 * widths[1] > 1.69 * widths[2] > 0


def test_a_small_change_stays_inside_its_interval():
    """Resampled circuits rest on fewer prompts and differ more: the plain percentiles may lie above the value."""
    rng = np.random.default_rng(0)
    before = [around(own, 1, rng, jitter=1.0) for own in prompts(3)]
    after = [around(own, 1, rng, jitter=1.0) for own in prompts(3)]
    for change in circuit_change(before, after, NO_FLOOR).values():
        assert change.low <= change.value <= change.high


def test_one_prompt_has_no_width():
    own = prompt()
    change = circuit_change([random_circuit(1, own)], [random_circuit(2, own)], NO_FLOOR)
    assert all(c.low == c.value == c.high and c.edge is None and c.said == "unclear" for c in change.values())


def test_the_edge_is_the_larger_of_both_checkpoints():
    own = prompts(2)
    circuits = [random_circuit(row, one) for row, one in enumerate(own)]
    low, high = (
        Floor(halves=0.1, halves_high=0.2, paraphrases=0.3),
        Floor(halves=0.1, halves_high=0.4, paraphrases=None),
    )
    change = circuit_change(circuits, circuits, ({"influence": low, "node_jaccard": low}, {"influence": high}))
    assert change["influence"].edge == 0.4
    assert change["influence"].said == "within"
    assert change["node_jaccard"].edge is None  # one side lacks it
    assert change["edge_jaccard"].edge is None


def test_what_cannot_be_compared_is_refused():
    own, other, third = prompts(3, 1)
    one = random_circuit(1, own)
    with pytest.raises(ComparisonRefused, match="no prompt"):
        circuit_change([], [], NO_FLOOR)
    with pytest.raises(ComparisonRefused, match=r"1 and 2 of them.*Compare the prompts that both have"):
        circuit_change([one], [one, renamed(one, other)], NO_FLOOR)
    with pytest.raises(ComparisonRefused, match="same prompts"):
        circuit_change([renamed(one, other)], [renamed(one, third)], NO_FLOOR)
    with pytest.raises(ComparisonRefused, match="given twice"):
        circuit_change([one], [one, one], NO_FLOOR)
    with pytest.raises(ComparisonRefused, match="2 and 3 layers"):
        circuit_change([one], [by_hand(own, {A: 1})], NO_FLOOR)
