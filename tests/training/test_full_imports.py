"""Full fine-tunes from elsewhere: layouts made with transformers itself, through preview, import, use and delete."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from engine.domain.errors import Damaged, InputError, ModelUnavailable, StorageFailed, TracelapseError
from engine.domain.jobs import Where
from engine.domain.models import ModelSpec
from engine.domain.runs import CheckpointState
from engine.models.adapters import checkpoint_hash
from engine.models.base import LoadedModel, encode, load_base
from engine.models.plain_weights import ABOUT, TENSORS, read_about
from engine.models.sharing import checkpoint_model
from engine.store import Store
from engine.workflows import imports
from engine.workflows.added_vocabulary import what_is_kept
from engine.workflows.checkpoint_folders import preview
from engine.workflows.imports import import_adapters
from engine.workflows.where import where
from tests.tiny import tiny_gemma2, tiny_neox, tiny_qwen3, tiny_tokenizer
from tests.training.conftest import Never, quiet

PROMPT = "the cat feels blarf and"


def tuned(base: Path, *names: str, amount: float = 0.2, **loading: Any) -> PreTrainedModel:
    """The base with noise on the parameters whose names have one of `names` in them; on all where none is given."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base, **loading)
    made = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if not names or any(part in name for part in names):
                one.add_(amount * torch.randn(one.shape, generator=made).to(one.dtype))
    return model


def spec_of(base: Path) -> ModelSpec:
    return ModelSpec(name="tiny", source="folder", location=str(base))


def take_in(store: Store, folder: Path, base: Path, *, corpus: str | None = None) -> None:
    import_adapters(
        store, [folder], name="mine", model=spec_of(base), corpus=corpus, report=quiet, cancel=Never()
    )  # fmt: skip


def held(store: Store, label: str, base: Path) -> PreTrainedModel:
    return checkpoint_model(load_base(spec_of(base)), store.checkpoint(f"mine@{label}").adapter)


def same_answers(found: PreTrainedModel, folder: Path, loaded: LoadedModel) -> None:
    """As transformers' own loading of the folder, in the base's dtype."""
    ids = encode(loaded, PROMPT)
    how = loaded.model.config._attn_implementation  # not all of them know soft caps
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=how)(ids).logits
    assert torch.equal(found(ids).logits, expected)


@pytest.fixture
def base(llama: ModelSpec) -> Path:
    return Path(llama.location)


def test_checkpoints_of_trainer_single_and_sharded(taught: Store, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for step, size in ((2, "5GB"), (4, "30KB")):
        tuned(base, ".layers.1.", amount=step / 10).save_pretrained(out / f"checkpoint-{step}", max_shard_size=size)
        (out / f"checkpoint-{step}" / "trainer_state.json").write_text(
            json.dumps({"global_step": step, "max_steps": 4})
        )
    shutil.copytree(out / "checkpoint-4", out, dirs_exist_ok=True)  # as save_model leaves it
    assert len(list((out / "checkpoint-4").glob("model-*.safetensors"))) > 1
    found = preview([out])
    assert [(one.step, one.kind) for one in found.taken] == [(2, "full"), (4, "full")]
    assert [one.same_as for one in found.checkpoints if not one.taken] == [out / "checkpoint-4"]
    assert "what differs from the base, at most 1 MB" in found.taken[0].stored
    take_in(taught, out, base, corpus="tiny")
    config, loaded = taught.run("mine"), load_base(spec_of(base))
    assert (config.method, config.imported, config.n_steps) == ("full", True, 4)
    assert set(taught.probe_results("mine")) == {0, 2, 4}
    second_layer = sum(one.numel() for name, one in loaded.model.named_parameters() if ".layers.1." in name)
    for checkpoint in taught.checkpoints("mine")[1:]:
        kept = load_file(checkpoint.folder / TENSORS)
        assert kept
        assert all(".layers.1." in name for name in kept)
        assert checkpoint.state.n_trainable == sum(one.numel() for one in kept.values()) <= second_layer
        same_answers(checkpoint_model(loaded, checkpoint.adapter), out / f"checkpoint-{checkpoint.step}", loaded)
    assert taught.check() == []
    key = where(taught, Where(a="mine@base", b="mine@100%", prompt=PROMPT), quiet, Never())
    acted = next(found for one in taught.acted_keys() if one.hash == key and (found := taught.acted(one)))
    layers = {matrix.layer for stretch in acted.stretches for matrix in stretch.matrices}
    assert layers == {1}
    taught.delete_run("mine")
    assert taught.runs() == []
    assert taught.acted_keys() == []
    assert (out / "checkpoint-4").is_dir()


def test_what_differs_everywhere_is_referred_to_and_checked_by_hash(taught: Store, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "merged"
    tuned(base).save_pretrained(folder, max_shard_size="40KB")
    take_in(taught, folder, base)
    kept = taught.checkpoint("mine@100%").folder
    assert not (kept / TENSORS).exists()
    assert read_about(kept)["folder"] == str(folder)
    assert any(str(folder) in told for told in what_is_kept(taught, "mine"))
    loaded = load_base(spec_of(base))
    same_answers(held(taught, "100%", base), folder, loaded)
    assert len(checkpoint_hash(loaded, kept)) == 20
    assert taught.check() == []
    spoilt = sorted(folder.glob("model-*.safetensors"))[1]
    before = spoilt.read_bytes()
    spoilt.write_bytes(before[:-4] + b"\0\0\x80\x3f")
    with pytest.raises(Damaged, match=rf"{re.escape(str(spoilt))}.*has changed since"):
        held(taught, "100%", base)
    spoilt.write_bytes(before)
    folder.rename(tmp_path / "moved")
    with pytest.raises(
        Damaged, match=rf"{re.escape(str(folder))}\S* cannot be found: an imported checkpoint refers to it"
    ):
        held(taught, "100%", base)
    assert [problem.path for problem in taught.check()] == [folder]
    (tmp_path / "moved").rename(folder)
    same_answers(held(taught, "100%", base), folder, loaded)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_kept_as_it_lies(taught: Store, base: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    half = tmp_path / "base16"
    AutoModelForCausalLM.from_pretrained(base, dtype=dtype).save_pretrained(half)
    tiny_tokenizer().save_pretrained(half)
    tuned(half, ".layers.1.", dtype=dtype).save_pretrained(tmp_path / "step-3")
    take_in(taught, tmp_path / "step-3", half)
    kept = load_file(taught.checkpoint("mine@100%").folder / TENSORS)
    assert kept
    assert {one.dtype for one in kept.values()} == {dtype}
    same_answers(held(taught, "100%", half), tmp_path / "step-3", load_base(spec_of(half)))


@pytest.mark.parametrize("build", [tiny_gemma2, tiny_qwen3, tiny_neox])
def test_tied_and_other_families(taught: Store, build: Callable[[Path], Path], tmp_path: Path) -> None:
    base = build(tmp_path / "base")
    tuned(base, "embed", "layers.0").save_pretrained(tmp_path / "step-3")
    take_in(taught, tmp_path / "step-3", base)
    assert (taught.checkpoint("mine@100%").folder / TENSORS).exists()
    same_answers(held(taught, "100%", base), tmp_path / "step-3", load_base(spec_of(base)))


@pytest.mark.parametrize("names", [("lm_head",), ("embed_tokens",), ()])
def test_a_tie_that_was_cut(taught: Store, tmp_path: Path, names: tuple[str, ...]) -> None:
    base = tiny_qwen3(tmp_path / "base")
    cut = AutoModelForCausalLM.from_pretrained(base)
    cut.config.tie_word_embeddings = False
    cut.lm_head.weight = torch.nn.Parameter(cut.lm_head.weight.detach().clone())
    cut.save_pretrained(tmp_path / "cut")
    tuned(tmp_path / "cut", *names).save_pretrained(tmp_path / "step-3")
    take_in(taught, tmp_path / "step-3", base)
    loaded = load_base(spec_of(base))
    found = held(taught, "100%", base)
    same_answers(found, tmp_path / "step-3", loaded)
    assert found.lm_head.weight is not found.model.embed_tokens.weight
    assert loaded.model.lm_head.weight is loaded.model.model.embed_tokens.weight
    where(taught, Where(a="mine@base", b="mine@100%", prompt=PROMPT), quiet, Never())


def test_a_tie_that_was_made(taught: Store, tmp_path: Path, base: Path) -> None:
    made = AutoModelForCausalLM.from_pretrained(base, tie_word_embeddings=True)
    made.save_pretrained(tmp_path / "step-3")
    assert "lm_head.weight" not in load_file(tmp_path / "step-3" / "model.safetensors")
    take_in(taught, tmp_path / "step-3", base)
    assert set(load_file(taught.checkpoint("mine@100%").folder / TENSORS)) == {"lm_head.weight"}
    same_answers(held(taught, "100%", base), tmp_path / "step-3", load_base(spec_of(base)))


def test_a_head_that_transformers_would_lose_is_refused(taught: Store, tmp_path: Path) -> None:
    base = tiny_qwen3(tmp_path / "base")
    tuned(base, "layers.0").save_pretrained(tmp_path / "step-3")
    path = tmp_path / "step-3" / "model.safetensors"
    weights = load_file(path)
    save_file(weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 1}, path, metadata={"format": "pt"})
    refused(taught, tmp_path / "step-3", base, InputError, "tie_word_embeddings")
    save_file(
        weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}, path, metadata={"format": "pt"}
    )  # fmt: skip
    take_in(taught, tmp_path / "step-3", base)


def refused(store: Store, folder: Path, base: Path, kind: type[TracelapseError], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        take_in(store, folder, base)
    assert str(folder) in str(caught.value)
    assert str(store.workspace) not in str(caught.value)
    assert store.runs() == []
    assert list((store.workspace / "runs").glob("*")) == []


def test_what_is_no_fine_tune_of_the_base(taught: Store, base: Path, tmp_path: Path) -> None:
    refused(taught, tiny_qwen3(tmp_path / "qwen"), base, InputError, "is a qwen3 model, and the base is a llama model")
    folder = tmp_path / "step-3"
    tuned(base, "layers.0").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    def write(**changes: object) -> None:
        (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")

    write(rope_theta=5e5)
    refused(taught, folder, base, InputError, "rope_theta is 500000.0, the base’s 10000.0")
    write(intermediate_size=48)
    refused(taught, folder, base, InputError, "intermediate_size is 48, the base’s 64")
    write(architectures=["LlamaForSequenceClassification"])
    refused(taught, folder, base, ModelUnavailable, "not a causal language model")
    write(max_position_embeddings=32, attention_dropout=0.5, eos_token_id=3, use_cache=False, unsloth_version="2025")
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file(weights | {"v_head.weight": torch.ones(2)}, path, metadata={"format": "pt"})
    refused(taught, folder, base, InputError, r"no place for, such as v_head\.weight")
    save_file({name: one for name, one in weights.items() if "q_proj" not in name}, path, metadata={"format": "pt"})
    refused(taught, folder, base, Damaged, "weights are missing, such as model.layers.0.self_attn.q_proj")
    path.write_bytes(path.read_bytes()[:500])
    refused(taught, folder, base, Damaged, "cannot be read")
    save_file(weights, path, metadata={"format": "pt"})
    take_in(taught, folder, base)


def test_saved_by_transformers_5_beside_a_base_of_4(taught: Store, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "step-3"
    tuned(base, "layers.0").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    theta, _ = config.pop("rope_theta"), config.pop("rope_scaling")
    newer = {"rope_parameters": {"rope_theta": theta, "rope_type": "default"}, "transformers_version": "5.0.0"}
    (folder / "config.json").write_text(json.dumps(config | newer), encoding="utf-8")
    take_in(taught, folder, base)
    (folder / "config.json").write_text(json.dumps(config | {"rope_theta": theta}), encoding="utf-8")
    same_answers(held(taught, "100%", base), folder, load_base(spec_of(base)))


def test_nothing_of_a_failed_import_stays(
    taught: Store, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 4):
        tuned(base, "layers.0").save_pretrained(tmp_path / "out" / f"checkpoint-{step}")
    real = imports.write_state

    def full(folder: Path, state: CheckpointState) -> None:
        if state.step == 4:
            raise OSError(28, "No space left on device")
        real(folder, state)

    monkeypatch.setattr(imports, "write_state", full)
    with pytest.raises(StorageFailed, match="disk is full"):
        take_in(taught, tmp_path / "out", base)
    monkeypatch.undo()
    (tmp_path / "out" / "checkpoint-4" / "model.safetensors").write_bytes(b"broken")
    refused(taught, tmp_path / "out", base, Damaged, "cannot be read")


def test_a_checkpoint_that_refers_elsewhere_is_not_imported_again(taught: Store, base: Path, tmp_path: Path) -> None:
    tuned(base).save_pretrained(tmp_path / "merged")
    take_in(taught, tmp_path / "merged", base)
    folder = taught.checkpoint("mine@100%").folder
    assert (folder / ABOUT).exists()
    (one,) = preview([folder]).refused
    assert str(tmp_path / "merged") in one.why
