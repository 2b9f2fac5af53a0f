"""A replacement shares the base's weights, runs any checkpoint of it, and leaves everything else as it was."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from engine.domain.errors import ComparisonRefused, InputError, ModelUnavailable
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel
from engine.models.replacement import Replacement, ReplacementModel
from tests.attribution.lens_oracle import lens_model
from tests.attribution.parts import FOLDERS, load, random_adapter, random_transcoders

TOKENS = torch.cat([torch.tensor([1]), torch.randint(4, 90, (49,), generator=torch.Generator().manual_seed(0))])


@pytest.fixture(params=FOLDERS)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedModel:
    return load(request.param, tmp_path / "base")


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def _difference(model: ReplacementModel, merged: PreTrainedModel) -> float:
    ours, theirs = model.logits(TOKENS)[0], merged(input_ids=TOKENS[None]).logits[0, -1]
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_logits_are_those_of_the_checkpoint(loaded: LoadedModel, tmp_path: Path) -> None:
    """50 tokens: longer than the tiny Gemma 2's sliding window of 32."""
    replacement = Replacement(loaded, random_transcoders(loaded))
    merged = merged_weights(loaded, random_adapter(loaded, tmp_path / "adapter"))
    before = _weights(loaded.model)
    with replacement.opened(None) as base, replacement.opened(merged) as model:
        assert _difference(base, loaded.model) < 1e-5
        assert _difference(model, merged) < 1e-5
        assert _difference(base, merged) > 1e-2
    after = loaded.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@torch.no_grad()
def test_activations_are_circuit_tracers(loaded: LoadedModel) -> None:
    transcoders = random_transcoders(loaded)
    with Replacement(loaded, transcoders).opened(None) as model:
        ours, _ = model.activations(TOKENS)
    _, theirs = lens_model(loaded.model, transcoders, loaded.tokenizer).get_activations(TOKENS)
    assert (theirs > 0).any()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 5])
def test_features_set_react_as_in_circuit_tracer(loaded: LoadedModel, n: int) -> None:
    transcoders = random_transcoders(loaded)
    with Replacement(loaded, transcoders).opened(None) as model:
        activations, _ = model.activations(TOKENS)
        places = activations.nonzero()[:: len(activations.nonzero()) // n][:n].tolist()
        values = [(*place, 3.0 - number) for number, place in enumerate(places)]
        ours, _ = model.with_features(TOKENS, values)
        untouched, _ = model.with_features(TOKENS, [])
    theirs = lens_model(loaded.model, transcoders, loaded.tokenizer)
    wanted, _ = theirs.feature_intervention(TOKENS, values, freeze_attention=False, return_activations=False)
    torch.testing.assert_close(ours, wanted[0, -1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ours, untouched, rtol=1e-2)


def test_no_weight_is_held_twice_and_no_hook_reaches_the_model_itself(tmp_path: Path) -> None:
    loaded = load("llama", tmp_path / "base")
    replacement = Replacement(loaded, random_transcoders(loaded))
    merged = merged_weights(loaded, random_adapter(loaded, tmp_path / "adapter"))
    seen: list[torch.Tensor] = []
    for checkpoint in (None, merged):
        owner = loaded.model if checkpoint is None else checkpoint
        with replacement.opened(checkpoint) as model:
            own = dict(model.parts.model.named_parameters())
            assert all(own[name] is value for name, value in owner.named_parameters())
            reads = dict.fromkeys(range(2), seen.append)
            with model.points.hooked(1, reads, {}), torch.no_grad():
                owner(input_ids=TOKENS[None])
    assert not seen
    assert loaded.model.config._attn_implementation == "sdpa"


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    loaded, other = load("llama", tmp_path / "llama"), load("qwen3", tmp_path / "qwen3")
    config = loaded.model.config
    larger = AutoModelForCausalLM.from_config(LlamaConfig(**{**config.to_dict(), "intermediate_size": 96}))
    replacement = Replacement(loaded, random_transcoders(loaded))
    for model in (larger, other.model):
        with pytest.raises(ComparisonRefused, match="belongs to another model"), replacement.opened(model):
            pass


@pytest.mark.parametrize(("place", "says"), [("feature_input_hook", "read at"), ("feature_output_hook", "write at")])
def test_transcoders_for_other_hook_points_are_refused(tmp_path: Path, place: str, says: str) -> None:
    loaded = load("llama", tmp_path)
    transcoders = random_transcoders(loaded)
    setattr(transcoders, place, "hook_resid_pre")
    with pytest.raises(InputError, match=rf"transcoders {says} “hook_resid_pre”, which a Llama model.*mlp\.hook_"):
        Replacement(loaded, transcoders)


def test_a_model_that_is_not_built_as_its_family_is_refused(tmp_path: Path) -> None:
    loaded = load("llama", tmp_path)
    transcoders = random_transcoders(loaded)
    del loaded.model.model.layers[1].mlp
    with pytest.raises(ModelUnavailable, match=r"called a Llama model \(llama\) but has no “mlp” in LlamaDecoderLayer"):
        Replacement(loaded, transcoders)
