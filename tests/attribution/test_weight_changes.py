"""What the difference of two checkpoints' weights makes of an output, and what of it is kept for the way back."""

import copy

import torch
from torch import nn

from engine.attribution.acted import stretch
from engine.attribution.weight_changes import LinearChange, changes
from engine.domain.explained import ExplainedLogits
from tests.families import loaded_family


def test_a_dense_difference_has_the_gradients_of_what_it_is() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        a, b, x, weights = nn.Linear(5, 3), nn.Linear(5, 3), torch.randn(2, 4, 5), torch.randn(2, 4, 3)
    x.requires_grad_()
    found = LinearChange(a, b).of_output(x)
    plain = b(x) - a(x)
    torch.testing.assert_close(found, plain)
    gradients = (torch.autograd.grad((weights * one).sum(), x)[0] for one in (found, plain))
    torch.testing.assert_close(*gradients)


def test_no_difference_waits_for_the_way_back() -> None:
    """Those of all layers together are as large as the model: only weights that are there already are kept."""
    loaded = loaded_family("llama")
    other = copy.deepcopy(loaded.model)
    generator = torch.Generator().manual_seed(0)
    for parameter in other.parameters():
        parameter.data += 0.03 * torch.randn(parameter.shape, generator=generator)
    there = {one.data_ptr() for model in (loaded.model, other) for one in model.parameters()}
    prompt = torch.tensor([1, 20, 7])
    matrices = [one for one in loaded.model.parameters() if one.ndim == 2]
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in there and any(sorted(tensor.shape) == sorted(one.shape) for one in matrices):
            kept.append(tensor)
        return tensor

    assert changes(loaded.model, other)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        stretch(loaded.model, other, prompt, ExplainedLogits(answers=(7,)))
    assert not kept
