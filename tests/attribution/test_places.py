"""Which places matter: for small changes the estimate is what patching measures, and a planted change comes first."""

import copy

import numpy as np
import pytest
from transformers import PreTrainedModel

from engine.attribution.places import place_effects, taken_back
from engine.domain.explained import ExplainedLogits
from engine.models.base import LoadedModel
from engine.models.parts import Parts
from tests.attribution.test_acted import OF, PROMPT, logit, moved
from tests.families import CONFIGS, loaded_family


@pytest.fixture(scope="module", params=CONFIGS)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded_family(request.param)


def nearly(model: PreTrainedModel, *, only: str = "") -> PreTrainedModel:
    """A fiftieth of the way to a moved model: little enough that gradients tell what patching does."""
    end, own = dict(moved(model, only=only).named_parameters()), copy.deepcopy(model)
    for name, parameter in own.named_parameters():
        parameter.data += 0.02 * (end[name] - parameter)
    return own


def test_single_mlps_are_what_patching_measures(loaded: LoadedModel) -> None:
    b = nearly(loaded.model)
    places = [(layer, position) for layer in range(loaded.n_layers) for position in range(len(PROMPT))]
    measured = taken_back(loaded.model, b, PROMPT, OF, [[place] for place in places])
    estimated = [place_effects(loaded.model, b, PROMPT, OF).mlp[place] for place in places]
    scale = np.abs(measured).max()
    assert scale > 1e-5
    np.testing.assert_allclose(estimated, measured, rtol=0, atol=0.05 * scale + 2e-6)


def test_heads_of_one_layer_are_what_its_attention_adds(loaded: LoadedModel) -> None:
    """Only the output projection of layer 1 changes: all of the logit's change runs through its heads."""
    parts = Parts(loaded.model)
    names = {module: name for name, module in loaded.model.named_modules()}
    b = nearly(loaded.model, only=f"{names[parts.layers[1].output]}.weight")
    found = place_effects(loaded.model, b, PROMPT, OF)
    change = logit(b) - logit(loaded.model)
    assert found.head.shape == (loaded.n_layers, parts.n_heads, len(PROMPT))
    # Later attention moves its heads too, and earlier ones not at all.
    assert not found.head[0].any()
    assert found.head[1].sum() == pytest.approx(change, rel=0.02, abs=2e-5)


def test_everything_patched_is_a(loaded: LoadedModel) -> None:
    """Only MLPs differ: with A's outputs everywhere B says what A says; with none nothing is taken back."""
    b = moved(loaded.model, only=".mlp." if loaded.family != "opt" else ".fc")
    places = [(layer, position) for layer in range(loaded.n_layers) for position in range(len(PROMPT))]
    whole, none = taken_back(loaded.model, b, PROMPT, OF, [places, []])
    assert whole == pytest.approx(logit(b) - logit(loaded.model), abs=1e-4)
    assert none == 0


def test_effects_on_a_contrast_are_differences() -> None:
    model = loaded_family("llama").model
    b = moved(model)
    one, other, both = (
        place_effects(model, b, PROMPT, ExplainedLogits(answers=answers, against=against))
        for answers, against in (((7,), ()), ((3,), ()), ((7,), (3,)))
    )
    np.testing.assert_allclose(both.mlp, one.mlp - other.mlp, rtol=0, atol=1e-5)
    np.testing.assert_allclose(both.head, one.head - other.head, rtol=0, atol=1e-5)
    assert np.abs(both.mlp).max() > 1e-3
    assert both.mlp_moved.tolist() == one.mlp_moved.tolist()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_with_heads_a_whole_layer_is_taken_back(family: str) -> None:
    """Only layer 1 differs: its MLPs alone are not all of it."""
    model = loaded_family(family).model
    names = {module: name for name, module in model.named_modules()}
    b = moved(model, only=f"{names[Parts(model).layers[1].module]}.")
    places = [(1, position) for position in range(len(PROMPT))]
    whole, half = (taken_back(model, b, PROMPT, OF, [places], heads_too=both)[0] for both in (True, False))
    assert whole == pytest.approx(logit(b) - logit(model), abs=1e-4)
    assert abs(whole - half) > 1e-3


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_a_planted_mlp_comes_first(family: str) -> None:
    """The last layer's: nothing above it moves along."""
    loaded = loaded_family(family)
    names = {module: name for name, module in loaded.model.named_modules()}
    b = moved(loaded.model, only=names[Parts(loaded.model).layers[-1].mlp_last])
    found = place_effects(loaded.model, b, PROMPT, OF)
    assert np.flatnonzero(found.mlp.any(1)).tolist() == [loaded.n_layers - 1]
    assert found.mlp[-1, -1] == pytest.approx(found.mlp.sum())
    assert not found.head.any()


def test_nothing_is_written_to(loaded: LoadedModel) -> None:
    b = moved(loaded.model)
    place_effects(loaded.model, b, PROMPT, OF)
    for model in (loaded.model, b):
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())


def test_in_one_checkpoint_nothing_changes() -> None:
    model = loaded_family("llama").model
    found = place_effects(model, copy.deepcopy(model), PROMPT, OF)
    assert not found.mlp.any()
    assert not found.head.any()


def test_moves_add_up_to_what_heads_do(loaded: LoadedModel) -> None:
    found = place_effects(loaded.model, moved(loaded.model), PROMPT, OF)
    assert np.abs(found.head).max() > 1e-4
    np.testing.assert_allclose(found.move.sum(1), found.head.sum((0, 1)), rtol=1e-4, atol=1e-6)
    assert not np.triu(found.move, 1).any()  # nothing comes from a later token
