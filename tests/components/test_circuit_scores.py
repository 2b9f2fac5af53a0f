import numpy as np
import pytest
from transformers import PreTrainedModel

from engine.components.pairs import grouped
from engine.components.scores import score_edges
from engine.domain.components import ScoreSettings
from tests.components.micro import some_pairs
from tests.components.reference import reference_scores

CASES = (("logit_diff", 1), ("logit_diff", 3), ("kl", 3))


@pytest.mark.parametrize(("metric", "n_steps"), CASES)
def test_the_factors_give_the_scores_that_separate_inputs_give(model: PreTrainedModel, metric, n_steps) -> None:
    pairs, settings = some_pairs(6), ScoreSettings(metric=metric, n_steps=n_steps, n_groups=2)
    slow = reference_scores(model, pairs, n_steps=n_steps, metric=metric)
    fast = score_edges(model, pairs, settings)
    groups = grouped(pairs, settings)
    for group in range(2):
        expected = slow[groups == group].mean(axis=0)
        np.testing.assert_allclose(fast.groups[group], expected, rtol=0, atol=1e-4 * np.abs(expected).max())
