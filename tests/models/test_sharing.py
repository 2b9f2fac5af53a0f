"""A checkpoint shares with its base what fine-tuning left alone, and computes what a merged copy computes."""

import copy
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from engine.models.adapters import WEIGHTS, merged_weights
from engine.models.low_rank import LowRank, matrix
from engine.models.sharing import checkpoint_model, own_bytes, sharing_copy
from tests.attribution.parts import random_adapter
from tests.families import CONFIGS, loaded_family

TOKENS = torch.tensor([[1, 20, 7, 33, 45]])


@torch.no_grad()
@pytest.mark.parametrize("family", CONFIGS)
def test_lora_in_every_family(family: str, tmp_path: Path) -> None:
    loaded = loaded_family(family)
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    adapter = random_adapter(loaded, tmp_path)
    model, merged = checkpoint_model(loaded, adapter), merged_weights(loaded, adapter)
    ours, theirs = model(input_ids=TOKENS).logits, merged(input_ids=TOKENS).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ours, loaded.model(input_ids=TOKENS).logits, rtol=1e-2)
    weights = dict(merged.named_modules())
    terms = {name: module for name, module in model.named_modules() if isinstance(module, LowRank)}
    assert terms
    for name, module in terms.items():
        torch.testing.assert_close(matrix(module), matrix(weights[name]), rtol=1e-5, atol=1e-6)
    size = (adapter / "adapter_model.safetensors").stat().st_size
    assert own_bytes(model, loaded) <= size
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_an_adapter_saved_in_half_precision_computes_what_peft_does(dtype: torch.dtype, tmp_path: Path) -> None:
    loaded = loaded_family("llama")
    adapter = random_adapter(loaded, tmp_path)
    halves = {name: value.to(dtype) for name, value in load_file(adapter / WEIGHTS).items()}
    save_file(halves, adapter / WEIGHTS, metadata={"format": "pt"})
    ours = checkpoint_model(loaded, adapter)(input_ids=TOKENS).logits
    theirs = PeftModel.from_pretrained(copy.deepcopy(loaded.model), adapter).eval()(input_ids=TOKENS).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_checkpoints_of_a_run_have_weights_of_their_own(tmp_path: Path) -> None:
    """They are configured alike, and what was read of one configuration is not read again."""
    loaded = loaded_family("llama")
    adapters = [random_adapter(loaded, tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    models = [checkpoint_model(loaded, adapter) for adapter in (*adapters, *adapters)]
    logits = [model(input_ids=TOKENS).logits for model in models]
    for ours, adapter in zip(logits, adapters * 2, strict=True):
        theirs = merged_weights(loaded, adapter)(input_ids=TOKENS).logits
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1], rtol=1e-2)


def test_a_term_of_low_rank_has_the_parameters_of_what_it_replaces(tmp_path: Path) -> None:
    loaded = loaded_family("gpt2")
    model = checkpoint_model(loaded, random_adapter(loaded, tmp_path))
    ours, base = dict(model.named_parameters()), dict(loaded.model.named_parameters())
    assert ours.keys() == base.keys()
    assert all(ours[name] is base[name] for name in base)


@torch.no_grad()
@pytest.mark.parametrize("tuned", [False, True])
def test_hooks_on_a_copy_are_its_own(tuned: bool, tmp_path: Path) -> None:
    loaded = loaded_family("llama")
    model = checkpoint_model(loaded, random_adapter(loaded, tmp_path) if tuned else None)
    called: list[str] = []
    hooked = sharing_copy(model)
    for name, module in hooked.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
        module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
    for other in (loaded.model, model, sharing_copy(model)):
        other(input_ids=TOKENS)
    assert called == []
    hooked(input_ids=TOKENS)
    assert {name.rpartition(".")[2] for name in called} >= {"", "q_proj", "down_proj", "lm_head"}
