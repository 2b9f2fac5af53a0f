"""SmolLM2-135M: written from its package, the same every time, and shared by its checkpoints."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from engine.domain import real_model as real_model_names
from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.models import ModelSpec
from engine.models import real_model
from engine.models.adapters import save_adapter
from engine.models.base import LoadedModel, encode, load_base
from engine.models.sharing import checkpoint_model, own_bytes, sharing_copy


@pytest.fixture(scope="module")
def loaded(real_folder: Path) -> LoadedModel:
    return load_base(ModelSpec(name="smollm2", source="folder", location=str(real_folder)))


@pytest.mark.real
def test_it_is_a_language_model(loaded: LoadedModel) -> None:
    with torch.no_grad():
        logits = loaded.model(input_ids=encode(loaded, "The capital of France is")).logits[0, -1]
    assert loaded.tokenizer.decode([int(logits.argmax())]) == " Paris"
    assert loaded.tokenizer.convert_ids_to_tokens(loaded.tokenizer.bos_token_id) == "<|im_start|>"
    assert (loaded.n_layers, loaded.d_model, loaded.model.config.rope_theta) == (30, 576, 100_000.0)


@pytest.mark.real
def test_what_is_there_and_whole_is_left_alone(real_folder: Path) -> None:
    weights = real_folder / real_model.WEIGHTS
    before = weights.stat().st_mtime_ns
    assert real_model.real_model(real_folder.parent) == real_folder
    assert weights.stat().st_mtime_ns == before
    assert not (real_folder / "tokenizer.model").exists()  # the package's file once more


@pytest.mark.real
def test_a_checkpoint_costs_its_two_thin_matrices(loaded: LoadedModel, tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    tuned = get_peft_model(sharing_copy(loaded.model), config)
    n_trained = sum(one.numel() for name, one in tuned.named_parameters() if "lora_" in name)
    save_adapter(tuned, tmp_path / "adapter", base_name="smollm2")
    checkpoint = checkpoint_model(loaded, tmp_path / "adapter")
    assert own_bytes(checkpoint, loaded) == 4 * n_trained < 0.01 * sum(p.nbytes for p in loaded.model.parameters())
    ids = encode(loaded, "The capital of France is")
    with torch.no_grad():
        assert not torch.equal(checkpoint(input_ids=ids).logits, loaded.model(input_ids=ids).logits)


def test_without_its_packages_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_model_names, "READER", "a_package_that_nobody_has")
    with pytest.raises(
        ModelUnavailable, match=r"a_package_that_nobody_has\).*pip install --no-deps -r requirements-re"
    ):
        real_model.real_model(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of another name with a small file, and a tiny Llama in the place of what transformers reads."""
    folder = tmp_path / "packages" / "some_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')", encoding="utf-8")
    (folder / real_model.GGUF).write_bytes(b"not really")
    monkeypatch.syspath_prepend(folder.parent)
    for module in (real_model, real_model_names):
        monkeypatch.setattr(module, "PACKAGE", "some_weights")
    monkeypatch.setattr(real_model_names, "READER", "json")
    return folder


def test_another_file_in_the_package_is_told_by_its_hash(package: Path, tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"sha256 is [0-9a-f]{16}… and should be b179c9523d0e6a0f"):
        real_model.real_model(tmp_path / "cache")
    assert not (tmp_path / "cache" / real_model.NAME).exists()
    (package / real_model.GGUF).unlink()
    with pytest.raises(Damaged, match="the file is missing"):
        real_model.real_model(tmp_path / "cache")


def test_weights_that_came_out_otherwise_are_not_kept(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_model, "GGUF_SHA256", hashlib.sha256(b"not really").hexdigest())
    with pytest.raises(Damaged, match="it does not begin as a GGUF file"):
        real_model.real_model(tmp_path / "cache")

    def written(source: Path, folder: Path, *_: object) -> None:
        assert source == package / real_model.GGUF
        (folder / real_model.WEIGHTS).write_bytes(b"weights")

    monkeypatch.setattr(real_model, "gguf_header", lambda file: None)
    monkeypatch.setattr(real_model, "write_folder", written)
    with pytest.raises(Damaged, match="instead of a672150fb4f99d7c"):
        real_model.real_model(tmp_path / "cache")
    assert not (tmp_path / "cache" / real_model.NAME).exists()
    monkeypatch.setattr(real_model, "WEIGHTS_SHA256", hashlib.sha256(b"weights").hexdigest())
    folder = real_model.real_model(tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == [real_model.WEIGHTS]
    (folder / real_model.WEIGHTS).write_bytes(b"other")  # damaged since: written again
    real_model.real_model(tmp_path / "cache")
    assert (folder / real_model.WEIGHTS).read_bytes() == b"weights"


@pytest.mark.real
def test_its_configuration_says_where_it_is_from(real_folder: Path) -> None:
    config = json.loads((real_folder / "config.json").read_text(encoding="utf-8"))
    assert config["tie_word_embeddings"] is True
    assert config["dtype"] == "float32"
