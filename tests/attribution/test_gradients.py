"""What a unit more of a feature does: gradients held to small steps, in any family, of any output, active or not."""

import numpy as np
import pytest
import torch

from engine.attribution import gradients
from engine.attribution.gradients import feature_gradients
from engine.models.base import encode
from engine.models.replacement import Replacement
from tests.attribution.parts import PROMPT, load, random_transcoders
from tests.attribution.test_every_family import cross_layer
from tests.attribution.test_places import nearly

OUTPUTS = (7, 9, 51)
# layer, position, index; most of them are silent, the last stands at the last token
FEATURES = np.array([[0, 1, 3], [0, 4, 7], [0, 5, 2], [1, 5, 0]])


@pytest.fixture(scope="module", params=["llama", "gemma2", "cross-layer"])
def replacement(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    family = "llama" if request.param == "cross-layer" else request.param
    loaded = load(family, tmp_path_factory.mktemp("gradients"))
    return Replacement(
        loaded, cross_layer(loaded, skip=True) if request.param == "cross-layer" else random_transcoders(loaded)
    )


def after_a_step(replacement: Replacement, feature: np.ndarray, step: float) -> np.ndarray:
    """(n_outputs,) logits minus the mean one where the feature writes so much more, everything free to react."""
    layer, position, index = feature.tolist()
    with replacement.opened(None) as model, torch.no_grad():
        tokens = encode(replacement.loaded, PROMPT)[0]
        written = step * model.decoders(layer, torch.tensor([index]))[0]

        def more(row: torch.Tensor):
            def write(output: torch.Tensor) -> torch.Tensor:
                changed = output.clone()
                changed[0, position] += row
                return changed

            return write

        _, logits = model.logits(tokens, {}, {layer + number: more(row) for number, row in enumerate(written)})
    return (logits[list(OUTPUTS)] - logits.mean()).numpy()


def test_small_steps_agree(replacement: Replacement) -> None:
    found = feature_gradients(replacement, None, PROMPT, OUTPUTS, FEATURES)
    assert found.shape == (len(OUTPUTS), len(FEATURES))
    step = 0.02
    for column, feature in enumerate(FEATURES):
        ends = [after_a_step(replacement, feature, sign * step) for sign in (1, -1)]
        measured = (ends[0] - ends[1]) / (2 * step)
        assert np.abs(measured).max() > 1e-4
        np.testing.assert_allclose(found[:, column], measured, rtol=0.02, atol=0.02 * np.abs(measured).max())


def test_however_many_outputs_go_down_at_once(replacement: Replacement, monkeypatch: pytest.MonkeyPatch) -> None:
    together = feature_gradients(replacement, None, PROMPT, OUTPUTS, FEATURES)
    monkeypatch.setattr(gradients, "_PLACES_AT_ONCE", 1)
    one_by_one = feature_gradients(replacement, None, PROMPT, OUTPUTS, FEATURES)
    np.testing.assert_allclose(one_by_one, together, rtol=1e-4, atol=1e-6)


def test_all_outputs_together_gain_nothing(replacement: Replacement) -> None:
    """Logits are told minus their mean; where no output is asked for there is none, and no feature has none."""
    every = range(replacement.loaded.n_vocab)
    found = feature_gradients(replacement, None, PROMPT, every, FEATURES)
    np.testing.assert_allclose(found.sum(0), 0, atol=1e-4 * np.abs(found).sum(0).max())
    assert feature_gradients(replacement, None, PROMPT, OUTPUTS, FEATURES[:0]).shape == (len(OUTPUTS), 0)


def test_each_checkpoint_has_its_own(replacement: Replacement) -> None:
    other = nearly(replacement.loaded.model)
    base, tuned = (feature_gradients(replacement, side, PROMPT, OUTPUTS, FEATURES) for side in (None, other))
    assert 0 < np.abs(tuned - base).max() < 0.5 * np.abs(base).max()
    assert not any(module._forward_hooks for module in replacement.loaded.model.modules())
