import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from engine.analysis.components.pruning import pruned
from engine.components import batches
from engine.components.model import ComponentModel
from engine.components.patched import run_circuits
from engine.domain.components import Circuit
from engine.domain.errors import PromptRefused
from tests.components.micro import some_pairs


@pytest.mark.parametrize("metric", ["logit_diff", "kl"])
def test_the_whole_graph_is_the_clean_run_and_the_empty_one_the_corrupted(model: PreTrainedModel, metric) -> None:
    pairs, shape = some_pairs(6), ComponentModel(model).shape
    none = np.zeros((shape.n_inputs, shape.n_sources), dtype=bool)
    circuits = [Circuit(shape, shape.edge_mask()), Circuit(shape, none)]
    (whole, empty), clean, corrupted = run_circuits(model, pairs, circuits, metric)
    np.testing.assert_allclose(whole, clean, atol=2e-5)
    np.testing.assert_allclose(empty, corrupted, atol=2e-5)
    assert np.abs(clean - corrupted).min() > 1e-3


def test_what_pruning_drops_changes_nothing(model: PreTrainedModel) -> None:
    if model.config.model_type == "gemma2":
        pytest.skip("a head outside the circuit still has its part in the norm behind the attention")
    pairs, shape = some_pairs(4), ComponentModel(model).shape
    drawn = np.random.default_rng(0).random(shape.edge_mask().shape) < 0.5
    drawn[[shape.head_input(0, 0, which) for which in (0, 1, 2)]] = False  # a head that nothing enters
    drawn[:, shape.head_source(1, 2)] = False  # one that nothing leaves
    circuit = Circuit(shape, shape.edge_mask() & drawn)
    smaller = pruned(circuit)
    assert 0 < smaller.n_edges < circuit.n_edges
    one, other = run_circuits(model, pairs, [circuit, smaller], "logit_diff").patched
    np.testing.assert_allclose(one, other, atol=2e-5)


def test_the_heads_weights_are_made_once_and_counted_before(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model of a billion parameters they are a gigabyte: a second set beside the first would be one more."""
    pairs, parts = some_pairs(6), ComponentModel(model)
    circuit, made = Circuit(parts.shape, parts.shape.edge_mask()), []
    make = ComponentModel.input_weights

    def counted(self: ComponentModel, layer: int) -> torch.Tensor:
        made.append(weight := make(self, layer))
        return weight

    monkeypatch.setattr(ComponentModel, "input_weights", counted)
    monkeypatch.setattr(batches, "WRITTEN_BYTES", 1)  # each pair alone
    run_circuits(model, pairs, [circuit], "logit_diff")
    assert len(made) == parts.shape.n_layers
    n_bytes = sum(weight.nbytes for weight in made)
    assert batches.input_weight_bytes(parts) == n_bytes
    monkeypatch.setattr(batches, "free_memory", lambda device, wanted: n_bytes)
    with pytest.raises(PromptRefused, match="finding its circuit takes about"):
        run_circuits(model, pairs, [circuit], "logit_diff")
