"""Fine-tunes from elsewhere whose vocabulary is another than their base's: rows, tokenizer, and what the base lacks."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.errors import ComparisonRefused, Damaged, InputError, StorageFailed
from engine.domain.jobs import Where
from engine.domain.models import ModelSpec
from engine.models.adapters import WEIGHTS, checkpoint_hash
from engine.models.added_tokens import load_base_of
from engine.models.base import load_base
from engine.models.plain_weights import TENSORS
from engine.models.sharing import checkpoint_model, own_bytes
from engine.store import Store
from engine.workflows import imports
from engine.workflows.added_vocabulary import said_of_base, what_is_kept, words_base_lacks
from engine.workflows.imports import import_adapters
from engine.workflows.loading import base_model
from engine.workflows.vocabulary import vocabulary
from engine.workflows.where import where
from tests.tiny import tiny_llama, tiny_qwen3, tiny_tokenizer
from tests.training.conftest import Never, quiet

pytestmark = [
    # PEFT's, of what is tested here
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*tied? :UserWarning"),
]
NEW = ("wug", "dax")
N_OLD = len(tiny_tokenizer())


def with_new_words() -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(list(NEW))
    return tokenizer


def resized(base: Path, n_rows: int = N_OLD + len(NEW)) -> PreTrainedModel:
    """As transformers makes the rows, so by chance."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model.resize_token_embeddings(n_rows, mean_resizing=False)
    return model


def adapter(model: PreTrainedModel, folder: Path, **settings: Any) -> PeftModel:
    """With weights as if trained, saved by PEFT, its tokenizer beside it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], task_type="CAUSAL_LM", **settings)
        tuned = get_peft_model(copy.deepcopy(model), config)
        with torch.no_grad():
            for one in tuned.parameters():
                if one.requires_grad:
                    one.add_(0.3 * torch.randn_like(one))
    tuned.save_pretrained(str(folder))
    with_new_words().save_pretrained(folder)
    return tuned.eval()


def spec_of(base: Path) -> ModelSpec:
    return ModelSpec(name="tiny", source="folder", location=str(base))


def take_in(store: Store, folder: Path, base: Path, *, name: str = "mine") -> None:
    import_adapters(store, [folder], name=name, model=spec_of(base), corpus=None, report=quiet, cancel=Never())


def ids(text: str = "the wug cat feels dax and") -> torch.Tensor:
    return torch.tensor([[1, *with_new_words()(text).input_ids]])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    limit = 1e-4 * float(expected.detach().max() - expected.detach().min())
    torch.testing.assert_close(found, expected, rtol=0, atol=limit)


SETTINGS: dict[str, dict[str, object]] = {
    "plain": {},
    "trained embeddings": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "one end": {"modules_to_save": ["lm_head"]},
    "tokens": {"trainable_token_indices": {"embed_tokens": [N_OLD, N_OLD + 1]}},
}


def test_the_base_that_other_jobs_use_keeps_its_vocabulary(store: Store, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    kept = base_model(store, spec_of(base))
    before = [one.clone() for one in kept.model.parameters()]
    adapter(resized(base), tmp_path / "checkpoint-5", **SETTINGS["trained embeddings"])
    take_in(store, tmp_path / "checkpoint-5", base)
    assert base_model(store, spec_of(base)) is kept
    assert kept.tokenizer.n_rows == kept.n_vocab == N_OLD
    assert all(torch.equal(one, was) for one, was in zip(kept.model.parameters(), before, strict=True))
    assert not any(one.requires_grad for one in kept.model.parameters())


@pytest.mark.parametrize("build", [tiny_llama, tiny_qwen3])
@pytest.mark.parametrize("kind", SETTINGS)
def test_an_adapter_with_resized_embeddings(
    store: Store, kind: str, build: Callable[[Path], Path], tmp_path: Path
) -> None:
    base = build(tmp_path / "base")
    peft = adapter(resized(base), tmp_path / "checkpoint-5", **SETTINGS[kind])
    take_in(store, tmp_path / "checkpoint-5", base)
    loaded = load_base_of(store, store.run("mine").model)
    before = [one.clone() for one in loaded.model.parameters()]
    found = checkpoint_model(loaded, store.checkpoint("mine@100%").adapter)
    close(found(ids()).logits, peft(input_ids=ids()).logits)
    assert all(torch.equal(one, was) for one, was in zip(loaded.model.parameters(), before, strict=True))
    assert (loaded.n_vocab, len(loaded.tokenizer)) == (N_OLD + 2, N_OLD + 2)
    plain = load_base(spec_of(base)).model(ids("the cat feels")).logits
    close(loaded.model(ids("the cat feels")).logits[..., :N_OLD], plain)  # the base is what it was
    if kind == "plain":
        assert all("lora" in name for name in load_file(store.checkpoint("mine@100%").folder / WEIGHTS))
    assert store.check() == []


def test_the_same_on_a_base_that_was_resized_and_saved(store: Store, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    peft = adapter(resized(base), tmp_path / "checkpoint-5")
    other = resized(base)
    other.get_input_embeddings().weight.data[N_OLD:] += 1.0
    other.save_pretrained(tmp_path / "resized")
    with_new_words().save_pretrained(tmp_path / "resized")
    take_in(store, tmp_path / "checkpoint-5", tmp_path / "resized")
    assert store.run("mine").model.vocabulary == ""
    loaded = load_base(spec_of(tmp_path / "resized"))
    before = loaded.model.get_input_embeddings().weight.clone()
    found = checkpoint_model(loaded, store.checkpoint("mine@100%").adapter)
    close(found(ids()).logits, peft(input_ids=ids()).logits)  # with the adapter's rows
    assert torch.equal(loaded.model.get_input_embeddings().weight, before)
    assert own_bytes(found, loaded) > before.nbytes


@pytest.mark.parametrize("build", [tiny_llama, tiny_qwen3])
def test_a_full_model_with_more_rows(store: Store, build: Callable[[Path], Path], tmp_path: Path) -> None:
    base = build(tmp_path / "base")
    for step in (3, 6):
        model = resized(base)
        with torch.no_grad():
            model.model.layers[1].mlp.up_proj.weight += 0.1 * step
            model.get_input_embeddings().weight[N_OLD:] += step  # the new rows alone are trained
        model.save_pretrained(tmp_path / "out" / f"checkpoint-{step}")
        with_new_words().save_pretrained(tmp_path / "out" / f"checkpoint-{step}")
    take_in(store, tmp_path / "out", base)
    loaded = load_base_of(store, store.run("mine").model)
    for checkpoint in store.checkpoints("mine")[1:]:
        expected = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / f"checkpoint-{checkpoint.step}")
        close(checkpoint_model(loaded, checkpoint.adapter)(ids()).logits, expected(ids()).logits)
    first, last = (load_file(one.folder / TENSORS).keys() for one in store.checkpoints("mine")[1:])
    assert first == {"model.layers.1.mlp.up_proj.weight"}
    assert last == {*first, "model.embed_tokens.weight"}
    assert "2 tokens that the base does not have" in " ".join(what_is_kept(store, "mine"))


def test_what_the_base_lacks_is_said_of_prompts_that_need_it(store: Store, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    adapter(resized(base), tmp_path / "checkpoint-5")
    take_in(store, tmp_path / "checkpoint-5", base)
    refs = ("mine@base", "mine@100%")
    assert words_base_lacks(store, refs, "the wug cat feels") == ("wug",)
    assert words_base_lacks(store, refs, "the cat feels") == ()
    assert words_base_lacks(store, refs[1:], "the wug cat feels") == ()
    assert "no token “wug”" in said_of_base(("wug",))
    assert "wug" in {word for kind in vocabulary(store, "mine") for word in kind.words} | set(NEW)
    key = where(store, Where(a=refs[0], b=refs[1], prompt="the wug cat feels"), quiet, Never())
    acted = next(found for one in store.acted_keys() if one.hash == key and (found := store.acted(one)))
    assert "wug" in {token.strip() for token in acted.tokens}
    assert acted.stretches


def test_a_vocabulary_goes_with_the_last_run_that_needs_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_llama(tmp_path / "base")
    adapter(resized(base), tmp_path / "checkpoint-5")
    stored = store.workspace / "vocabularies"
    for name in ("mine", "again"):
        take_in(store, tmp_path / "checkpoint-5", base, name=name)
    assert len(list(stored.iterdir())) == 1
    where(store, Where(a="mine@100%", b="again@100%", prompt="the wug"), quiet, Never())
    store.delete_run("mine")
    assert len(list(stored.iterdir())) == 1
    loaded = load_base_of(store, store.run("again").model)
    assert checkpoint_hash(loaded, None) != checkpoint_hash(load_base(spec_of(base)), None)
    store.delete_run("again")
    assert list(stored.iterdir()) == []

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(imports, "write_state", full)
    with pytest.raises(StorageFailed, match="disk is full"):
        take_in(store, tmp_path / "checkpoint-5", base)
    assert store.runs() == []
    assert list(stored.iterdir()) == list((store.workspace / "runs").iterdir()) == []


def test_a_run_that_is_deleted_during_an_import_takes_nothing_of_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_llama(tmp_path / "base")
    adapter(resized(base), tmp_path / "checkpoint-5")
    save, left = Store.save_vocabulary, []

    def save_and_lose(self: Store, name: str, made: Path) -> None:
        save(self, name, made)
        if not left:
            self.remove_unused_vocabularies()  # as another process does that deletes a run
            left.append(len(list((self.workspace / "vocabularies").iterdir())))

    monkeypatch.setattr(Store, "save_vocabulary", save_and_lose)
    take_in(store, tmp_path / "checkpoint-5", base)
    assert left == [0]
    assert load_base_of(store, store.run("mine").model).n_vocab == N_OLD + len(NEW)
    assert store.check() == []


def test_runs_of_another_vocabulary_are_not_compared(store: Store, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    adapter(resized(base), tmp_path / "checkpoint-5")
    take_in(store, tmp_path / "checkpoint-5", base)
    plain = AutoModelForCausalLM.from_pretrained(base)
    plain.save_pretrained(tmp_path / "step-1")
    take_in(store, tmp_path / "step-1", base, name="plain")
    with pytest.raises(ComparisonRefused, match="another tokenizer"):
        where(store, Where(a="plain@base", b="mine@100%", prompt="the cat"), quiet, Never())
    folder = store.vocabulary_folder(store.run("mine").model)
    assert folder is not None
    assert store.check() == []
    (folder / "added.json").unlink()
    assert ["vocabulary" in problem.reason for problem in store.check()] == [True]
    with pytest.raises(Damaged, match="Import the run again"):
        load_base_of(store, store.run("mine").model)


def test_vocabularies_that_do_not_fit_are_refused(store: Store, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    out = tmp_path / "out"
    resized(base, N_OLD + 2).save_pretrained(out / "checkpoint-1")
    resized(base, N_OLD + 3).save_pretrained(out / "checkpoint-2")
    with pytest.raises(InputError, match=r"checkpoint-2 has embeddings for .* one vocabulary as one run"):
        take_in(store, out, base)
    resized(base, N_OLD - 3).save_pretrained(tmp_path / "step-9")
    with pytest.raises(InputError, match=rf"step-9 has embeddings for {N_OLD - 3} tokens, and “tiny” for {N_OLD}"):
        take_in(store, tmp_path / "step-9", base)
    assert store.runs() == []


def test_a_tokenizer_is_used_only_where_it_reads_otherwise(store: Store, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(base)
    for name, change in {"same": "padding", "chat": "template", "beyond": "words"}.items():
        folder = tmp_path / name / "step-3"
        model.save_pretrained(folder)
        tokenizer = with_new_words() if change == "words" else tiny_tokenizer()  # words without rows
        tokenizer.chat_template = "{{ messages[0].content }}" if change == "template" else None
        tokenizer.save_pretrained(folder)
        if change == "padding":  # as a trainer that padded leaves it
            said = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            said["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
            (folder / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
        take_in(store, folder, base, name=name)
    assert {name: bool(store.run(name).model.vocabulary) for name in ("same", "chat", "beyond")} == {
        "same": False, "chat": True, "beyond": False,
    }  # fmt: skip
    assert load_base_of(store, store.run("chat").model).tokenizer.chat_template
    where(store, Where(a="same@100%", b="chat@100%", prompt="the cat"), quiet, Never())  # both read it alike
