"""In which layers the features work."""

import pytest

from engine.analysis.layers import layer_shares
from engine.analysis.prompt_circuits import prompt_circuit
from tests.analysis.circuit_makers import by_hand, node, prompts, random_circuit
from tests.analysis.micro_graphs import micro_a, probe


def test_micro_graph_by_hand():
    """Features' influence: layer 0 .421875 + .296875 = .71875, layer 1 .5625 + .3125 = .875, of 1.59375 together."""
    circuit = prompt_circuit(probe("x").model_copy(update={"template": "{n}"}), micro_a())
    assert layer_shares([circuit]) == pytest.approx((0.71875 / 1.59375, 0.875 / 1.59375))


def test_the_mean_over_prompts():
    """Layer 0: 3 and 0; layer 1: 0 and 1."""
    one, other = prompts(1)
    assert layer_shares([by_hand(one, {node(0, 1): 3}), by_hand(other, {node(1, 1): 1})]) == pytest.approx((0.75, 0.25))


def test_shares_add_up_in_any_order():
    circuits = [random_circuit(row, own) for row, own in enumerate(prompts(4))]
    assert sum(layer_shares(circuits)) == pytest.approx(1)
    assert layer_shares(circuits[::-1]) == layer_shares(circuits)
    assert len(layer_shares(circuits)) == 3


def test_nothing_has_no_layers():
    assert layer_shares([]) == ()
    assert layer_shares([by_hand(prompts(1)[0], {})]) == ()
