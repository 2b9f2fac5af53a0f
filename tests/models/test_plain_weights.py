"""Checkpoints that hold weights of the model itself: saved, put back, named by content, and hostile ones."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from engine.domain.errors import Damaged, InputError
from engine.domain.models import ModelSpec
from engine.models.adapters import checkpoint_hash, merged_weights, put_weights, save_adapter, with_adapter
from engine.models.base import LoadedModel, encode, load_base
from engine.models.plain_weights import ABOUT, TENSORS, is_plain
from tests.tiny import tiny_gemma2, tiny_llama, tiny_neox, tiny_qwen3


def loaded_from(folder: Path) -> LoadedModel:
    return load_base(ModelSpec(name="tiny", source="folder", location=str(folder)))


def saved(loaded: LoadedModel, folder: Path, *, amount: float = 0.1, base_name: str = "owner/base") -> PreTrainedModel:
    """The second layer and the embeddings moved; what was made of the model."""
    tuned = copy.deepcopy(loaded.model)
    start = {name: p.detach().clone() for name, p in tuned.named_parameters()}
    with torch.no_grad():
        for name, p in tuned.named_parameters():
            if ".layers.1." in name or "embed" in name:
                p.add_(amount)
    save_adapter(tuned, folder, base_name=base_name, method="full", start=start)
    return tuned


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return loaded_from(tiny_llama(tmp_path_factory.mktemp("plain") / "llama"))


@pytest.fixture
def folder(llama: LoadedModel, tmp_path: Path) -> Path:
    saved(llama, tmp_path / "weights")
    return tmp_path / "weights"


@pytest.mark.parametrize("build", [tiny_llama, tiny_gemma2, tiny_qwen3, tiny_neox])
def test_merged_computes_what_was_saved_to_the_bit(build: Callable[[Path], Path], tmp_path: Path) -> None:
    """Also where the output matrix is the embedding's."""
    loaded = loaded_from(build(tmp_path / "base"))
    before = {name: p.clone() for name, p in loaded.model.named_parameters()}
    tuned = saved(loaded, tmp_path / "weights")
    ids = encode(loaded, "the cat is blarf gleem")
    merged = merged_weights(loaded, tmp_path / "weights")
    assert torch.equal(merged(ids).logits, tuned(ids).logits)
    assert (merged(ids).logits - loaded.model(ids).logits).abs().max() > 0.01
    assert not any(p.requires_grad for p in merged.parameters())
    assert all(torch.equal(p, before[name]) for name, p in loaded.model.named_parameters())


def test_only_what_changed_is_kept(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [ABOUT, TENSORS]
    assert all(".layers.1." in name or "embed" in name for name in load_file(folder / TENSORS))
    assert json.loads((folder / ABOUT).read_text(encoding="utf-8")) == {"base": "owner/base", "type": "full"}
    assert is_plain(folder)


def test_nothing_changed_is_the_base(llama: LoadedModel, tmp_path: Path) -> None:
    saved(llama, tmp_path / "weights", amount=0.0)
    assert load_file(tmp_path / "weights" / TENSORS) == {}
    merged = merged_weights(llama, tmp_path / "weights")
    assert all(torch.equal(p, q) for p, q in zip(merged.parameters(), llama.model.parameters(), strict=True))


def test_weights_are_put_into_the_model_itself(llama: LoadedModel, folder: Path) -> None:
    model = copy.deepcopy(llama.model)
    assert with_adapter(model, folder) is model
    assert not isinstance(model, PeftModel)
    again = copy.deepcopy(llama.model)
    put_weights(again, folder)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))


def test_the_hash_names_the_weights_and_not_where_they_were_made(
    llama: LoadedModel, folder: Path, tmp_path: Path
) -> None:
    whole = checkpoint_hash(llama, folder)
    assert whole != checkpoint_hash(llama, None)
    saved(llama, tmp_path / "elsewhere", base_name="/elsewhere")
    assert checkpoint_hash(llama, tmp_path / "elsewhere") == whole
    saved(llama, tmp_path / "other", amount=0.2)
    assert checkpoint_hash(llama, tmp_path / "other") != whole
    (folder / TENSORS).unlink()
    with pytest.raises(Damaged, match=TENSORS):
        checkpoint_hash(llama, folder)


def spoilt(folder: Path, change: dict[str, torch.Tensor]) -> None:
    save_file({**load_file(folder / TENSORS), **change}, folder / TENSORS)


NORM = "model.layers.1.input_layernorm.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.layers.9.mlp.up_proj.weight": torch.zeros(2)}, "has no model.layers.9"),
        ({"../../evil": torch.zeros(2)}, "has no ../../evil"),
        ({NORM: torch.zeros(31)}, r"must be \(32,\) of float32, and is \(31,\)"),
        ({NORM: torch.zeros(32, dtype=torch.int64)}, "is .* of int64"),
    ],
)
def test_tensors_of_another_model_are_refused_whole(
    llama: LoadedModel, folder: Path, change: dict[str, torch.Tensor], message: str
) -> None:
    spoilt(folder, change)
    model = copy.deepcopy(llama.model)
    with pytest.raises(InputError, match=message):
        put_weights(model, folder)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), llama.model.parameters(), strict=True))


@pytest.mark.parametrize("keep", [0, 5, 3000])
def test_truncated_weights_are_damaged(llama: LoadedModel, folder: Path, keep: int) -> None:
    (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:keep])
    with pytest.raises(Damaged, match=TENSORS):
        merged_weights(llama, folder)


def test_pickled_weights_are_never_read(llama: LoadedModel, folder: Path) -> None:
    (folder / TENSORS).unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(Damaged, match="never read"):
        merged_weights(llama, folder)


@pytest.mark.parametrize(("text", "error"), [("", Damaged), ("[]", Damaged), ('{"type": "magic"}', InputError)])
def test_what_says_nothing_true_of_them_is_refused(
    llama: LoadedModel, folder: Path, text: str, error: type[Exception]
) -> None:
    (folder / ABOUT).write_text(text, encoding="utf-8")
    with pytest.raises(error, match="weights"):
        merged_weights(llama, folder)


def test_weights_of_another_family_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit this model"):
        merged_weights(loaded_from(tiny_neox(tmp_path / "neox")), shutil.copytree(folder, tmp_path / "copy"))
