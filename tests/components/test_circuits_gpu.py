"""On an accelerator the same comes out as on the CPU."""

import copy

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from engine.components.ablation import mean_ablation_scores
from engine.components.patched import run_circuits
from engine.components.scores import score_edges
from engine.domain.components import Circuit, ScoreSettings
from tests.components.micro import some_pairs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no accelerator here"),
]


@pytest.fixture(scope="module")
def moved(model: PreTrainedModel) -> PreTrainedModel:
    return copy.deepcopy(model).to("cuda")


def test_scores_are_those_of_the_cpu(model: PreTrainedModel, moved: PreTrainedModel) -> None:
    settings = ScoreSettings(n_pairs=6, n_groups=2)
    here, there = (score_edges(one, some_pairs(6), settings) for one in (model, moved))
    np.testing.assert_allclose(there.groups, here.groups, rtol=0, atol=1e-3 * np.abs(here.groups).max())
    np.testing.assert_allclose(there.clean, here.clean, atol=1e-3)


def test_patched_runs_are_those_of_the_cpu(model: PreTrainedModel, moved: PreTrainedModel) -> None:
    scored = score_edges(model, some_pairs(4), ScoreSettings(n_pairs=4, n_groups=1))
    strong = np.abs(scored.groups[0])
    circuit = Circuit(scored.shape, scored.shape.edge_mask() & (strong >= np.median(strong[strong > 0])))
    here, there = (run_circuits(one, some_pairs(4), [circuit], "logit_diff").patched for one in (model, moved))
    np.testing.assert_allclose(there, here, atol=1e-3)


def test_mean_ablation_scores_are_those_of_the_cpu(model: PreTrainedModel, moved: PreTrainedModel) -> None:
    ids = some_pairs(4).clean
    mask = torch.ones_like(ids)
    here = mean_ablation_scores(model, ids, mask, ids)
    there = mean_ablation_scores(moved, ids.cuda(), mask.cuda(), ids.cuda())
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-3 * here.max())
