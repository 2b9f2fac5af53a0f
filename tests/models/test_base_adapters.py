"""Adapters: merged, saved, named by content."""

import copy
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftModel, TrainableTokensConfig, get_peft_model
from transformers import AutoModelForCausalLM

from engine.domain.errors import Damaged, InputError
from engine.domain.models import ModelSpec
from engine.models.adapters import CONFIG, WEIGHTS, checkpoint_hash, merged_weights, save_adapter
from engine.models.base import LoadedModel, encode, load_base
from tests.tiny import tiny_gemma2, tiny_llama, tiny_neox, tiny_qwen3

CONFIGS = {
    "lora": lambda: LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    "tokens": lambda: TrainableTokensConfig(token_indices=[90, 91], task_type="CAUSAL_LM"),
    "lora_tokens": lambda: LoraConfig(
        r=4, target_modules="all-linear", trainable_token_indices=[90, 91], task_type="CAUSAL_LM"
    ),
    "ranks": lambda: LoraConfig(
        r=4, rank_pattern={r"layers\.(1)\..*": 8}, alpha_pattern={r"layers\.(1)\..*": 32.0},
        target_modules="all-linear", task_type="CAUSAL_LM",
    ),
    "adalora": lambda: AdaLoraConfig(init_r=6, lora_alpha=24.0, total_step=9, target_modules="all-linear"),
    "ia3": lambda: IA3Config(
        target_modules=r".*(k_proj|v_proj|query_key_value|down_proj|dense_4h_to_h)",
        feedforward_modules=r".*(down_proj|dense_4h_to_h)", task_type="CAUSAL_LM",
    ),
}  # fmt: skip


def loaded_from(folder: Path) -> LoadedModel:
    return load_base(ModelSpec(name="tiny", source="folder", location=str(folder)))


def tuned_copy(loaded: LoadedModel, kind: str) -> PeftModel:
    """An adapter whose every weight is off its start."""
    tuned = get_peft_model(copy.deepcopy(loaded.model), CONFIGS[kind]())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in tuned.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return tuned.eval()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return loaded_from(tiny_llama(tmp_path_factory.mktemp("adapters") / "llama"))


@pytest.fixture
def adapter(llama: LoadedModel, tmp_path: Path) -> Path:
    save_adapter(tuned_copy(llama, "lora"), tmp_path / "adapter", base_name="owner/base")
    return tmp_path / "adapter"


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("build", [tiny_llama, tiny_gemma2, tiny_qwen3, tiny_neox])
def test_merged_computes_what_the_adapter_computes(build: Callable[[Path], Path], kind: str, tmp_path: Path) -> None:
    loaded = loaded_from(build(tmp_path / "base"))
    before = {name: p.clone() for name, p in loaded.model.named_parameters()}
    tuned = tuned_copy(loaded, kind)
    save_adapter(tuned, tmp_path / "adapter", base_name="owner/base")
    ids = encode(loaded, "the cat is blarf gleem")
    merged = merged_weights(loaded, tmp_path / "adapter")
    torch.testing.assert_close(merged(ids).logits, tuned(ids).logits, rtol=1e-4, atol=1e-5)
    assert (merged(ids).logits - loaded.model(ids).logits).abs().max() > 0.1
    assert not any(p.requires_grad for p in merged.parameters())
    assert all(torch.equal(p, before[name]) for name, p in loaded.model.named_parameters())


def test_without_an_adapter_it_is_a_copy_of_the_base(llama: LoadedModel) -> None:
    merged = merged_weights(llama, None)
    assert merged is not llama.model
    assert all(torch.equal(p, q) for p, q in zip(merged.parameters(), llama.model.parameters(), strict=True))


def test_a_saved_adapter_is_plain_peft(adapter: Path, llama: LoadedModel) -> None:
    assert sorted(path.name for path in adapter.iterdir()) == [CONFIG, WEIGHTS]
    assert json.loads((adapter / CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"] == "owner/base"
    ids = encode(llama, "the cat is blarf")
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(llama.folder), adapter).eval()
    torch.testing.assert_close(merged_weights(llama, adapter)(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [tiny_llama, tiny_gemma2])
def test_an_adapter_of_two_tokens_is_small(build: Callable[[Path], Path], tmp_path: Path) -> None:
    """PEFT would save the embedding matrix beside it where it is tied or resized."""
    save_adapter(tuned_copy(loaded_from(build(tmp_path / "base")), "tokens"), tmp_path / "adapter", base_name="x")
    assert sum(path.stat().st_size for path in (tmp_path / "adapter").iterdir()) < 3000


def test_the_hash_names_the_weights_and_nothing_else(adapter: Path, llama: LoadedModel, tmp_path: Path) -> None:
    whole = checkpoint_hash(llama, adapter)
    assert whole == checkpoint_hash(llama.folder, adapter)
    assert whole != checkpoint_hash(llama, None)
    moved = shutil.copytree(adapter, tmp_path / "moved")
    config = json.loads((moved / CONFIG).read_text(encoding="utf-8"))
    elsewhere = config | {"base_model_name_or_path": "/elsewhere", "target_modules": config["target_modules"][::-1]}
    (moved / CONFIG).write_text(json.dumps(elsewhere), encoding="utf-8")
    assert checkpoint_hash(llama, moved) == whole
    (moved / CONFIG).write_text(json.dumps(config | {"lora_alpha": 99}), encoding="utf-8")
    assert checkpoint_hash(llama, moved) != whole
    other = loaded_from(tiny_qwen3(tmp_path / "other"))
    assert checkpoint_hash(other, adapter) != whole


def test_the_hash_follows_a_changed_base(llama: LoadedModel, tmp_path: Path) -> None:
    folder = shutil.copytree(llama.folder, tmp_path / "base")
    before = checkpoint_hash(folder, None)
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    assert checkpoint_hash(folder, None) != before


@pytest.mark.parametrize("keep", [0, 5, 3000])
def test_a_truncated_adapter_is_damaged(adapter: Path, llama: LoadedModel, keep: int) -> None:
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:keep])
    with pytest.raises(Damaged, match=WEIGHTS):
        merged_weights(llama, adapter)


@pytest.mark.parametrize("text", ["", "[]", '{"peft_type": "LORA", ', '{"peft_type": "LORA", "r": -1}'])
def test_a_broken_config_is_damaged(adapter: Path, llama: LoadedModel, text: str) -> None:
    (adapter / CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises((Damaged, InputError), match="adapter"):
        merged_weights(llama, adapter)


def test_a_pickled_adapter_is_never_read(adapter: Path, llama: LoadedModel) -> None:
    (adapter / WEIGHTS).unlink()
    torch.save({}, adapter / "adapter_model.bin")
    with pytest.raises(Damaged, match="never read"):
        merged_weights(llama, adapter)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"megatron_config": {"x": 1}, "megatron_core": "os"}, "Megatron"),
        ({"r": 8}, "shape"),
    ],
)
def test_adapters_of_other_kinds_are_refused(
    adapter: Path, llama: LoadedModel, change: dict[str, object], named: str
) -> None:
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    (adapter / CONFIG).write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(InputError, match=named):
        merged_weights(llama, adapter)


def test_an_adapter_for_another_model_is_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit this model"):
        merged_weights(loaded_from(tiny_qwen3(tmp_path / "qwen")), adapter)


def pruned_adalora(llama: LoadedModel, folder: Path) -> PeftModel:
    """As PEFT itself saves it: the ranks that the allocator took away are cut out."""
    tuned = get_peft_model(
        copy.deepcopy(llama.model), AdaLoraConfig(init_r=6, target_r=3, total_step=4, target_modules="all-linear")
    )
    for step in range(1, 5):
        tuned.zero_grad()
        with torch.no_grad():
            for name, p in tuned.named_parameters():
                if "lora_E" in name:
                    p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(step)))
        tuned(input_ids=torch.tensor([[1, 5, 6]]), labels=torch.tensor([[1, 5, 6]])).loss.backward()
        tuned.base_model.update_and_allocate(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own, of a matrix that has no rank left
        tuned.save_pretrained(folder)
    return tuned.eval()


def test_adalora_as_peft_saves_it(llama: LoadedModel, tmp_path: Path) -> None:
    tuned = pruned_adalora(llama, tmp_path / "adapter")
    ids = encode(llama, "the cat is blarf")
    merged = merged_weights(llama, tmp_path / "adapter")
    torch.testing.assert_close(merged(ids).logits, tuned(ids).logits, rtol=1e-4, atol=1e-5)
    save_adapter(tuned, tmp_path / "ours", base_name="x")
    torch.testing.assert_close(
        merged_weights(llama, tmp_path / "ours")(ids).logits, tuned(ids).logits, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "change", [lambda kept: [], lambda kept: [True] * 99, lambda kept: 5, lambda kept: "x", lambda kept: None]
)
def test_ranks_that_adalora_never_gave_are_refused(
    llama: LoadedModel, tmp_path: Path, change: Callable[[object], object]
) -> None:
    pruned_adalora(llama, tmp_path / "adapter")
    path = tmp_path / "adapter" / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    first = next(iter(config["rank_pattern"]))
    config["rank_pattern"][first] = change(config["rank_pattern"][first])
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="does not fit"):
        merged_weights(llama, tmp_path / "adapter")
