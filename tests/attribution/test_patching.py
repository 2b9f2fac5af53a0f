"""Features and edges patched: for small changes the estimate is what patching measures; an edge is a change of its
target alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from engine.attribution.patching import FeatureChanges, feature_changes, features_taken_back, inputs_taken_back
from engine.domain.explained import ExplainedLogits
from engine.models.base import encode
from engine.models.replacement import Replacement
from tests.attribution.parts import PROMPT, load, random_transcoders
from tests.attribution.test_places import nearly

OF = ExplainedLogits(answers=(7,), against=(9,))
Scene = tuple[Replacement, PreTrainedModel, torch.Tensor, FeatureChanges]


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    loaded = load(request.param, tmp_path_factory.mktemp("patching"))
    replacement = Replacement(loaded, random_transcoders(loaded))
    b, prompt = nearly(loaded.model), encode(loaded, PROMPT)[0]
    return replacement, b, prompt, feature_changes(replacement, None, b, prompt, OF)


def test_single_features_are_what_patching_measures(scene: Scene) -> None:
    replacement, b, prompt, changes = scene
    stays = np.flatnonzero((changes.before > 0) & (changes.after > 0))  # one that comes or goes moves far
    assert len(stays) > 20
    stays = stays[::3]
    measured = np.array(features_taken_back(replacement, b, prompt, OF, changes, [[row] for row in stays]))
    scale = np.abs(measured).max()
    assert scale > 1e-4
    np.testing.assert_allclose(changes.effect[stays], measured, rtol=0, atol=0.05 * scale + 2e-6)


def test_features_are_those_of_either_side_and_none_stands_on_the_first_token(scene: Scene) -> None:
    replacement, b, prompt, changes = scene
    for side, values in ((None, changes.before), (b, changes.after)):
        with replacement.opened(side) as model:
            active = model.activations(prompt)[0]
        assert int((active != 0).sum()) == np.count_nonzero(values)
        np.testing.assert_allclose(active[tuple(changes.places.T)].numpy(), values, rtol=1e-6)
    assert changes.places[:, 1].min() > 0
    decoder = replacement.transcoders[int(changes.places[0, 0])].W_dec[changes.places[0, 2]]
    assert changes.length[0] == pytest.approx(float(decoder.norm()), rel=1e-5)


def test_no_feature_patched_changes_nothing(scene: Scene) -> None:
    replacement, b, prompt, changes = scene
    assert features_taken_back(replacement, b, prompt, OF, changes, [[]]) == [0.0]
    assert inputs_taken_back(replacement, b, prompt, OF, changes, [[]]) == [0.0]


def test_an_input_more_is_the_feature_set_to_so_much_more(scene: Scene) -> None:
    """Two inputs of one feature are their sum, and with less than nothing left it is ablated."""
    replacement, b, prompt, changes = scene
    row = int(np.argmax(changes.after * np.abs(changes.gradients[1])))
    more = 0.25 * float(changes.after[row])
    set_to = replace(changes, before=np.where(np.arange(len(changes.before)) == row, changes.after + more, 0.0))
    ablated = replace(changes, before=np.zeros_like(changes.before))
    wanted = [
        *features_taken_back(replacement, b, prompt, OF, set_to, [[row]]),
        *features_taken_back(replacement, b, prompt, OF, ablated, [[row]]),
    ]
    found = inputs_taken_back(
        replacement, b, prompt, OF, changes, [[(row, more / 3), (row, more * 2 / 3)], [(row, -1e6)]]
    )
    assert np.abs(wanted).min() > 1e-3
    assert found == pytest.approx(wanted, abs=1e-5)


def test_a_feature_that_is_silent_in_b_gets_nothing(scene: Scene) -> None:
    replacement, b, prompt, changes = scene
    silent = replace(changes, after=np.zeros_like(changes.after))
    assert inputs_taken_back(replacement, b, prompt, OF, silent, [[(0, 1.0)]]) == [0.0]


def test_nothing_is_written_to(scene: Scene) -> None:
    replacement, b, _, _ = scene
    for model in (replacement.loaded.model, b):
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
