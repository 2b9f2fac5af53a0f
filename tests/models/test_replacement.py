"""The replacement model computes what the Hugging Face model computes, in every family, whatever is swapped in."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from engine.domain.errors import ComparisonRefused, ModelUnavailable
from engine.domain.models import ModelSpec
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel, load_base
from engine.models.lens import lens_config, lens_of
from engine.models.replacement import Replacement
from tests.attribution.parts import FOLDERS, load, random_adapter, random_transcoders
from tests.tiny import tiny_neox, tiny_tokenizer

TOKENS = torch.cat([torch.tensor([[1]]), torch.randint(4, 90, (1, 49), generator=torch.Generator().manual_seed(0))], 1)


@pytest.fixture(params=FOLDERS)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedModel:
    return load(request.param, tmp_path / "base")


def _weights(replacement: Replacement) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in replacement.model.named_parameters()}


@torch.no_grad()
def _difference(replacement: Replacement, model: torch.nn.Module) -> float:
    ours, theirs = replacement.model(TOKENS), model(input_ids=TOKENS).logits
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_logits_are_those_of_the_hugging_face_model(loaded: LoadedModel) -> None:
    """50 tokens: longer than the tiny Gemma 2's sliding window of 32."""
    assert _difference(Replacement(loaded, random_transcoders(loaded)), loaded.model) < 1e-5


def test_a_swap_computes_the_checkpoint_and_leaves_the_base_bit_identical(loaded: LoadedModel, tmp_path: Path) -> None:
    replacement = Replacement(loaded, random_transcoders(loaded))
    merged = merged_weights(loaded, random_adapter(loaded, tmp_path / "adapter"))
    base, original = _weights(replacement), {k: v.clone() for k, v in loaded.model.state_dict().items()}
    assert _difference(replacement, merged) > 1e-2
    with replacement.swapped(merged):
        assert _difference(replacement, merged) < 1e-5
        assert torch.is_grad_enabled()
    after = _weights(replacement)
    assert all(torch.equal(base[name], after[name]) for name in base)
    assert all(torch.equal(original[name], value) for name, value in loaded.model.state_dict().items())


def test_the_base_comes_back_after_an_exception_and_after_nested_swaps(tmp_path: Path) -> None:
    loaded = load("llama", tmp_path / "base")
    replacement = Replacement(loaded, random_transcoders(loaded))
    one, two = (merged_weights(loaded, random_adapter(loaded, tmp_path / str(i), seed=i)) for i in (1, 2))
    base = _weights(replacement)
    with pytest.raises(KeyError), replacement.swapped(one):
        raise KeyError
    assert all(torch.equal(base[name], value) for name, value in _weights(replacement).items())
    with replacement.swapped(one):
        with replacement.swapped(two):
            assert _difference(replacement, two) < 1e-5
        assert _difference(replacement, one) < 1e-5
    assert all(torch.equal(base[name], value) for name, value in _weights(replacement).items())


def test_a_checkpoint_of_another_shape_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    loaded, other = load("llama", tmp_path / "llama"), load("qwen3", tmp_path / "qwen3")
    config = loaded.model.config
    larger = AutoModelForCausalLM.from_config(LlamaConfig(**{**config.to_dict(), "intermediate_size": 96}))
    replacement = Replacement(loaded, random_transcoders(loaded))
    base = _weights(replacement)
    with pytest.raises(ComparisonRefused, match="belongs to another model"), replacement.swapped(larger):
        pass
    with pytest.raises(ComparisonRefused), replacement.swapped(other.model):
        pass
    assert all(torch.equal(base[name], value) for name, value in _weights(replacement).items())


@pytest.mark.parametrize(
    "changed",
    [
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {
            "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            }
        },
        {"num_key_value_heads": 1, "head_dim": 24, "tie_word_embeddings": True},
        {"rope_theta": 5e5, "rms_norm_eps": 1e-3},
    ],
)  # fmt: skip
def test_variants_of_llama(tmp_path: Path, changed: dict[str, object]) -> None:
    folder = FOLDERS["llama"](tmp_path)
    fields = LlamaConfig.from_pretrained(folder).to_dict()
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(LlamaConfig(**{**fields, **changed})).save_pretrained(folder)
    loaded = load_base(ModelSpec(name="variant", source="folder", location=str(folder)))
    assert _difference(Replacement(loaded, random_transcoders(loaded)), loaded.model) < 1e-5


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
    ],
)
def test_what_the_conversion_would_drop_is_refused(changed: dict[str, object], named: str) -> None:
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, **changed,
    )  # fmt: skip
    with pytest.raises(ModelUnavailable, match=named):
        lens_config(AutoModelForCausalLM.from_config(config))


def test_an_unknown_family_is_refused_with_those_that_work(tmp_path: Path) -> None:
    neox = load_base(ModelSpec(name="neox", source="folder", location=str(tiny_neox(tmp_path))))
    with pytest.raises(ModelUnavailable, match=r"gpt_neox.*gemma2, llama, qwen3"):
        lens_of(neox.model)


def test_the_interpreter_exits_in_silence(tmp_path: Path) -> None:
    """circuit-tracer's model prints an ignored exception when it is destroyed with the interpreter."""
    code = (
        "import sys; from pathlib import Path; from tests.attribution.parts import *;"
        "from engine.models.replacement import Replacement;"
        f"loaded = load('llama', Path({str(tmp_path)!r}));"
        "sys.kept = Replacement(loaded, random_transcoders(loaded))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
