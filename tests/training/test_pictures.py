"""Models that read pictures, too: their language model is what is loaded, and what adapters and full fine-tunes of the
whole trained of it is what is imported. Held to transformers' and PEFT's own whole model on words alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    Gemma3Config,
    LlavaConfig,
    Mistral3Config,
    PretrainedConfig,
    PreTrainedModel,
)

from engine.domain.errors import InputError, ModelUnavailable
from engine.domain.models import ModelSpec
from engine.models.base import load_base
from engine.models.sharing import checkpoint_model
from engine.store import Store
from engine.workflows.model_facts import model_facts
from tests.tiny import N_LAYERS, tiny_tokenizer
from tests.training.trained_elsewhere import take_in

TOKENS = torch.tensor([[1, 20, 7, 33, 41, 5]])
_TEXT = {
    "vocab_size": len(tiny_tokenizer()), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64,
    "initializer_range": 0.15,
}  # fmt: skip
_SEES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "gemma3": lambda: Gemma3Config(
        text_config={**_TEXT, "sliding_window": 4, "query_pre_attn_scalar": 16}, vision_config=_SEES,
        mm_tokens_per_image=1,
    ),
    "mistral3": lambda: Mistral3Config(
        text_config={**_TEXT, "model_type": "mistral"}, vision_config={**_SEES, "model_type": "pixtral"}
    ),
    "llava": lambda: LlavaConfig(
        text_config={**_TEXT, "model_type": "llama"}, vision_config={**_SEES, "model_type": "clip_vision_model"}
    ),
}  # fmt: skip
EVERYWHERE = ["q_proj", "v_proj", "down_proj"]  # in what reads pictures there are such, too


def whole_model(kind: str) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForImageTextToText.from_config(CONFIGS[kind]()).eval()


def moved(model: torch.nn.Module, names: str) -> None:
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if names in name:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=TOKENS).logits
    return found


@pytest.fixture(params=CONFIGS)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    whole_model(request.param).save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def spec(base: Path) -> ModelSpec:
    return ModelSpec(name="sees", source="folder", location=str(base))


def kind_of(base: Path) -> str:
    return str(json.loads((base / "config.json").read_text())["model_type"])


def adapter(base: Path, out: Path, targets: list[str] | str, **settings: Any) -> torch.Tensor:
    """A checkpoint of the whole model; what it answers."""
    tuned: PeftModel = get_peft_model(whole_model(kind_of(base)), LoraConfig(r=2, target_modules=targets, **settings))
    moved(tuned, "lora_B")
    moved(tuned, "trainable_tokens")
    tuned.save_pretrained(out)
    return logits(tuned.eval())


def kept(store: Store, base: Path) -> torch.Tensor:
    loaded = load_base(spec(base))
    last = store.checkpoints("mine")[-1]
    assert last.adapter is not None
    return logits(checkpoint_model(loaded, last.adapter))


def test_the_language_model_answers_as_the_whole_does(base: Path) -> None:
    loaded = load_base(spec(base))
    assert torch.equal(logits(loaded.model), logits(whole_model(kind_of(base))))
    assert loaded.n_layers == N_LAYERS


def test_names_of_transformers_5_are_read_too(base: Path) -> None:
    """Where the language model stands inside the body, and the output matrix beside it."""
    path = base / "model.safetensors"
    named = {}
    for name, tensor in load_file(path).items():
        new = name.replace("language_model.lm_head", "lm_head").replace(
            "language_model.model.", "model.language_model."
        )
        named[new if new != name or "lm_head" in new else f"model.{name}"] = tensor
    assert any(name.startswith("model.language_model.") for name in named)
    save_file(named, path, metadata={"format": "pt"})
    assert torch.equal(logits(load_base(spec(base)).model), logits(whole_model(kind_of(base))))


@pytest.mark.parametrize("in_one", [True, False])
def test_what_lies_beside_the_weights_does_not_count(base: Path, in_one: bool) -> None:
    """As transformers leaves it alone: a copy by another name, or a shard of an earlier save."""
    whole = whole_model(kind_of(base))
    other = {name: 0 * tensor for name, tensor in load_file(base / "model.safetensors").items()}
    if not in_one:
        (base / "model.safetensors").unlink()
        whole.save_pretrained(base, max_shard_size="30KB")
    for name in ("model.fp16.safetensors", "model_old.safetensors", "model-00099-of-00099.safetensors"):
        save_file(other, base / name, metadata={"format": "pt"})
    assert (base / "model.safetensors").exists() == in_one
    assert torch.equal(logits(load_base(spec(base)).model), logits(whole))


def test_a_text_config_without_a_model_type_is_of_the_usual_one(base: Path) -> None:
    """As transformers has it, too: the classes of the whole know what they are made of."""
    told = json.loads((base / "config.json").read_text())
    del told["text_config"]["model_type"]
    (base / "config.json").write_text(json.dumps(told))
    assert torch.equal(logits(load_base(spec(base)).model), logits(whole_model(kind_of(base))))


def test_a_quantised_language_model_is_refused_by_name(base: Path) -> None:
    """Wherever the file says it: to delete that, as of a setting that changes nothing, would be the wrong way out."""
    told = json.loads((base / "config.json").read_text())
    told["text_config"]["quantization_config"] = {"quant_method": "awq"}
    (base / "config.json").write_text(json.dumps(told))
    with pytest.raises(ModelUnavailable, match=r"quantized \(awq\)"):
        load_base(spec(base))


def test_what_is_told_is_of_the_language_model(base: Path, store: Store) -> None:
    facts = model_facts(store, spec(base))
    own = load_base(spec(base)).model
    assert (facts.n_layers, facts.d_model, facts.no_circuits, facts.problem) == (N_LAYERS, 32, "", "")
    assert facts.reads_pictures
    assert facts.n_parameters == sum(one.numel() for one in own.parameters())


@pytest.mark.parametrize("targets", [EVERYWHERE, r".*language_model.*\.(q_proj|v_proj|down_proj)"])
def test_an_adapter_of_the_whole_is_imported(base: Path, store: Store, targets: list[str] | str) -> None:
    expected = adapter(base, base.parent / "out" / "checkpoint-4", targets)
    take_in(store, [base.parent / "out"], spec(base))
    found = kept(store, base)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found - logits(load_base(spec(base)).model)).abs().max() > 0.01


@pytest.mark.parametrize(
    "settings",
    [
        {"alpha_pattern": {r".*language_model.*q_proj": 64}},
        {"alpha_pattern": {"language_model.layers.1.self_attn.q_proj": 64}, "rank_pattern": {r".*language_model.*": 4}},
        {"exclude_modules": r".*language_model\.layers\.0.*"},
    ],
    ids=["alpha", "part of a name", "left out"],
)
def test_patterns_of_the_wholes_names_say_the_same(base: Path, store: Store, settings: dict[str, Any]) -> None:
    """The language model alone has other names, and a pattern that fits none would be passed over without a word."""
    expected = adapter(base, base.parent / "out" / "checkpoint-4", ["q_proj", "v_proj"], **settings)
    take_in(store, [base.parent / "out"], spec(base))
    torch.testing.assert_close(kept(store, base), expected, rtol=0, atol=1e-5)


def test_trained_tokens_of_an_embedding_by_its_name_in_the_whole_are_imported(tmp_path: Path, store: Store) -> None:
    base = tmp_path / "base"
    whole_model("gemma3").save_pretrained(base)
    tiny_tokenizer().save_pretrained(base)
    rows = {"model.language_model.embed_tokens": [20, 7]}
    expected = adapter(base, tmp_path / "out" / "checkpoint-4", ["q_proj"], trainable_token_indices=rows)
    take_in(store, [tmp_path / "out"], spec(base))
    torch.testing.assert_close(kept(store, base), expected, rtol=0, atol=1e-5)


def test_tokens_that_peft_would_train_at_both_ends_are_refused(store: Store, tmp_path: Path) -> None:
    """The whole's configuration says that its ends are one, and those of its language model are two."""
    base = tmp_path / "base"
    whole = whole_model("mistral3")
    assert whole.config.tie_word_embeddings
    whole.save_pretrained(base)
    tiny_tokenizer().save_pretrained(base)
    adapter(base, tmp_path / "out" / "checkpoint-4", ["q_proj"], trainable_token_indices=[20, 7])
    with pytest.raises(InputError, match="calls input and output embeddings one"):
        take_in(store, [tmp_path / "out"], spec(base))


def test_a_full_fine_tune_of_the_whole_is_imported(base: Path, store: Store) -> None:
    tuned = whole_model(kind_of(base))
    moved(tuned, "layers.1.mlp")
    out = base.parent / "out" / "checkpoint-4"
    tuned.save_pretrained(out)
    take_in(store, [out], spec(base))
    torch.testing.assert_close(kept(store, base), logits(tuned), rtol=0, atol=1e-5)


def test_an_adapter_of_what_reads_pictures_alone_is_refused(base: Path, store: Store) -> None:
    adapter(base, base.parent / "out" / "checkpoint-4", r".*vision.*q_proj")
    with pytest.raises(InputError, match="trained only what reads pictures"):
        take_in(store, [base.parent / "out"], spec(base))
