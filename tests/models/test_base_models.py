"""Loading base models, and prompts as tokens."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.domain.errors import Damaged, ModelUnavailable, PromptRefused
from engine.domain.models import ModelSpec
from engine.models import hub as hub_access
from engine.models.base import encode, load_base
from engine.models.families import FAMILIES
from tests.families import CONFIGS, made
from tests.tiny import D_MODEL, N_LAYERS, N_POSITIONS, tiny_gemma2, tiny_llama, tiny_neox, tiny_qwen3, tiny_tokenizer

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "llama": tiny_llama,
    "gemma2": tiny_gemma2,
    "qwen3": tiny_qwen3,
    "gpt_neox": tiny_neox,
}


def spec_of(folder: Path, **changes: str) -> ModelSpec:
    return ModelSpec(name="tiny", source="folder", location=str(folder), **changes)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "llama")


def test_every_supported_family_has_a_tiny_model() -> None:
    assert set(BUILDERS) <= set(FAMILIES)


@pytest.mark.parametrize("family", BUILDERS)
def test_a_family_loads_and_computes_what_transformers_computes(family: str, tmp_path: Path) -> None:
    folder = BUILDERS[family](tmp_path / "model")
    loaded = load_base(spec_of(folder))
    assert (loaded.family, loaded.n_layers, loaded.d_model, loaded.n_positions) == (
        family,
        N_LAYERS,
        D_MODEL,
        N_POSITIONS,
    )
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    ids = encode(loaded, "the cat is happy")
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    torch.testing.assert_close(loaded.model(ids).logits, plain(ids).logits)


def test_no_bar_is_drawn_for_a_model_of_several_files(
    llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On the terminal it would stand across ours. Whoever wants bars elsewhere in the process keeps them."""
    shutil.copytree(llama, folder := tmp_path / "sharded")
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(llama).save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    capfd.readouterr()
    load_base(spec_of(folder))
    assert capfd.readouterr() == ("", "")
    AutoModelForCausalLM.from_pretrained(folder)
    assert "shards" in capfd.readouterr().err


@pytest.mark.parametrize("setting", ["scale_attn_by_inverse_layer_idx", "scale_attn_weights"])
def test_attention_that_gpt2_scales_otherwise(setting: str, tmp_path: Path) -> None:
    """Only one way of transformers to compute it reads these, and graphs go that way."""
    config = copy.deepcopy(CONFIGS["gpt2"])
    setattr(config, setting, not getattr(config, setting))
    made(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    loaded = load_base(spec_of(tmp_path))
    ids = encode(loaded, "the cat is happy")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    usual = made(CONFIGS["gpt2"])
    torch.testing.assert_close(loaded.model(ids).logits, plain(ids).logits)
    assert not torch.allclose(loaded.model(ids).logits, usual(ids).logits, atol=1e-3)


def test_dtype_is_honoured(llama: Path) -> None:
    assert load_base(spec_of(llama, dtype="bfloat16")).model.dtype == torch.bfloat16


@pytest.mark.parametrize("device", ["cuda", "tpu", "meta", "cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_named(llama: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelUnavailable, match=device):
        load_base(spec_of(llama, device=device))


def test_bos_comes_first_and_once(llama: Path) -> None:
    loaded = load_base(spec_of(llama))
    ids = encode(loaded, "the cat")
    assert ids.shape == (1, 3)
    assert ids.dtype == torch.int64
    assert ids[0, 0] == loaded.tokenizer.bos_token_id
    assert torch.equal(encode(loaded, "<bos> the cat "), ids)


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("<bos>", "empty"),
        ("the flurb cat zonks", "“flurb”, “zonks”"),
        ("<unk> cat", "<unk>"),
        ("the cat <eos> is", "<eos>"),
        ("the <bos> cat", "<bos>"),
        ("<pad> the cat", "<pad>"),
        ("<script>alert(1)</script>", "script"),
        ("the " * N_POSITIONS, f"at most {N_POSITIONS - 1}"),
    ],
)
def test_a_prompt_that_cannot_be_taken_is_refused(llama: Path, prompt: str, named: str) -> None:
    with pytest.raises(PromptRefused, match=named):
        encode(load_base(spec_of(llama)), prompt)


def test_the_longest_prompt_is_taken(llama: Path) -> None:
    assert encode(load_base(spec_of(llama)), "the " * (N_POSITIONS - 1)).shape == (1, N_POSITIONS)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"no config.json in .*nowhere"):
        load_base(spec_of(tmp_path / "nowhere"))


def test_an_unknown_family_is_named(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(ModelUnavailable, match=r"“bert”.*not a causal language model.*Llama.*Qwen 3.*Gemma 2"):
        load_base(spec_of(folder))


def test_code_that_comes_with_a_model_is_not_run(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    load_base(spec_of(folder))  # transformers' own Llama is used
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_never_read(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"pytorch_model.bin.*never read"):
        load_base(spec_of(folder))


@pytest.mark.parametrize("keep", [0, 4, 5000])
def test_truncated_weights_are_damaged(llama: Path, tmp_path: Path, keep: int) -> None:
    folder = shutil.copytree(llama, tmp_path / "model")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Damaged, match=r"model is damaged"):
        load_base(spec_of(folder))


def test_missing_and_misshapen_weights_are_damaged(llama: Path, tmp_path: Path) -> None:
    """transformers would make up what is missing, with no more than a warning."""
    folder = shutil.copytree(llama, tmp_path / "model")
    path = folder / "model.safetensors"
    weights, name = load_file(path), "model.norm.weight"
    save_file({key: w for key, w in weights.items() if key != name}, path, metadata={"format": "pt"})
    with pytest.raises(Damaged, match=name):
        load_base(spec_of(folder))
    save_file(weights | {name: torch.zeros(7)}, path, metadata={"format": "pt"})
    with pytest.raises(Damaged, match="size mismatch"):
        load_base(spec_of(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_damaged_json_is_named(llama: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(llama, tmp_path / "model")
    (folder / name).write_text('{"truncated": ', encoding="utf-8")
    with pytest.raises(Damaged):
        load_base(spec_of(folder))


def hub(name: str = "google/gemma-2-2b") -> ModelSpec:
    return ModelSpec(name="hub", source="hub", location=name)


def test_without_network_a_hub_model_says_how_to_bring_it() -> None:
    # The tests run with HF_HUB_OFFLINE=1.
    with pytest.raises(ModelUnavailable, match=r"huggingface-cli download google/gemma-2-2b --local-dir"):
        load_base(hub())


def test_what_is_no_hub_id_is_said() -> None:
    with pytest.raises(ModelUnavailable, match="OWNER/NAME"):
        load_base(hub("a b//c"))


@pytest.mark.parametrize(
    ("error", "advice"),
    [(GatedRepoError, "accept its license.*huggingface-cli login"), (RepositoryNotFoundError, "spelling")],
)
def test_gated_and_unknown_hub_models(error: type[Exception], advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Response:
        headers: dict[str, str] = {}  # noqa: RUF012 (a stand-in)
        request = None

    def refuse(*_args: object, **_kwargs: object) -> str:
        raise error("refused", response=Response())  # type: ignore[call-arg]

    monkeypatch.setattr(hub_access, "snapshot_download", refuse)
    with pytest.raises(ModelUnavailable, match=advice):
        load_base(hub())


def test_a_folder_never_asks_the_network(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_base(spec_of(llama))
