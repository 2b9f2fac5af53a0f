import numpy as np
import torch
from transformers import PreTrainedModel

from engine.components.ablation import mean_ablation_scores
from engine.components.model import ComponentModel
from tests.components.micro import some_pairs
from tests.components.reference import Reference


def test_they_are_the_size_of_what_separate_inputs_give(model: PreTrainedModel) -> None:
    pairs = some_pairs(4)
    ids = pairs.clean
    mask = (torch.arange(ids.shape[1]) < pairs.lengths[:, None]).long()
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :3] = -100  # the prompt
    found = mean_ablation_scores(model, ids, mask, labels)

    parts = ComponentModel(model)
    with parts.prepared():
        run = Reference(parts, ids)
        loss = torch.nn.functional.cross_entropy(run.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        gradients = torch.cat(torch.autograd.grad(loss, run.inputs))
    written = torch.cat(run.written)  # (n_sources, n, n_pos, d_model)
    real = mask.bool()
    means = written[:, real].mean(dim=1)
    changed = (written - means[:, None, None]) * real[..., None]
    expected = (gradients.flatten(1) @ changed.flatten(1).T).abs().numpy() / len(ids) * parts.shape.edge_mask()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())
    assert found.dtype == np.float32
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert model.training


def test_without_labels_every_score_is_zero(model: PreTrainedModel) -> None:
    ids = some_pairs(2).clean
    assert not mean_ablation_scores(model, ids, torch.ones_like(ids), torch.full_like(ids, -100)).any()
