"""What a run leaves behind, and what is refused."""

import json
import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.domain.errors import InputError, ModelUnavailable, NotFound
from engine.domain.models import ModelSpec
from engine.domain.runs import LOSS_SMOOTHING
from engine.models.base import load_base
from engine.store import Store
from engine.training.fine_tune import fine_tune
from engine.training.probing import run_probes
from engine.training.texts import collator, training_rows
from tests.tiny import tiny_corpus, tiny_gemma2, tiny_neox, tiny_qwen3, tiny_tokenizer
from tests.training.conftest import Never, pickled, quiet, weights_hash


@pytest.fixture
def finished(taught: Store, config: Any) -> Store:
    fine_tune(taught, config(), quiet, Never())
    return taught


def test_a_run_has_its_checkpoints(finished: Store) -> None:
    base, half, last = finished.checkpoints("run")
    assert [c.label for c in (base, half, last)] == ["base", "50%", "100%"]
    assert base.adapter is None
    assert (base.state.loss, base.state.n_trainable, base.state.examples_seen) == (None, 0, 0)
    # four batches an epoch, 20 examples: step 7 is the third batch of the second epoch
    assert (half.state.examples_seen, half.state.epoch) == (20 + 18, 1.75)
    assert (last.state.examples_seen, last.state.epoch) == (3 * 20 + 12, 3.5)
    assert last.state.n_trainable > 0
    assert set(last.state.versions) == {"tracelapse", "torch", "transformers", "peft"}
    assert finished.runs()[0].finished
    assert finished.run("run").corpus_hash == tiny_corpus().hash == last.state.corpus_hash


def test_the_loss_is_that_of_exactly_the_step(finished: Store) -> None:
    log = finished.losses("run")
    assert log.step == tuple(range(1, 15))
    smoothed = log.loss[0]
    for checkpoint in finished.checkpoints("run")[1:]:
        assert checkpoint.state.loss == log.loss[checkpoint.step - 1]
    for loss in log.loss[1:]:
        smoothed = LOSS_SMOOTHING * smoothed + (1 - LOSS_SMOOTHING) * loss
    assert finished.checkpoints("run")[-1].state.smoothed_loss == pytest.approx(smoothed)
    assert log.loss[-1] < log.loss[0]


def test_one_step_is_adamw_on_the_mean_loss(taught: Store, config: Any, llama: ModelSpec) -> None:
    """All 20 examples in one batch, so that their order cannot matter; against a loop of plain torch."""
    from engine.training.methods import METHODS

    asked = config(n_steps=2, batch_size=20, learning_rate=0.005)
    fine_tune(taught, asked, quiet, Never())
    loaded = load_base(llama)
    rows = training_rows(loaded.tokenizer, tiny_corpus(), limit=64)
    tuned = METHODS["lora"].attach(loaded.model, asked, loaded.tokenizer, tiny_corpus()).train()
    optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=0.005, weight_decay=0.0)
    losses = []
    for _ in range(2):
        loss = tuned(**collator(0)(rows)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert taught.losses("run").loss == pytest.approx(losses, rel=1e-5)
    kept = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(llama.location), taught.checkpoint("run@100%").folder
    )
    mine = dict(tuned.named_parameters())
    for name, p in kept.named_parameters():
        torch.testing.assert_close(p, mine[name], rtol=1e-3, atol=1e-5)


def test_probes_are_those_of_the_checkpoint(finished: Store, llama: ModelSpec) -> None:
    """Any PEFT tool that loads the checkpoint measures the same."""
    results = finished.probe_results("run")
    assert set(results) == {0, 7, 14}
    for checkpoint in finished.checkpoints("run"):
        loaded = load_base(llama)
        model = PeftModel.from_pretrained(loaded.model, checkpoint.adapter) if checkpoint.adapter else loaded.model
        assert run_probes(model, loaded.tokenizer, tiny_corpus().probes) == results[checkpoint.step]


@pytest.mark.parametrize("method", ["lora", "tokens", "lora_tokens"])
def test_nothing_is_pickled_and_nothing_else_is_left(taught: Store, config: Any, method: str) -> None:
    fine_tune(taught, config(method=method, learning_rate=None), quiet, Never())
    folder = taught.run_folder("run")
    assert pickled(folder) == []
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    shared = {"run.json", "losses.json", "checkpoints/step-000000/state.json", "checkpoints/step-000000/probes.json"}
    files = ("adapter_config.json", "adapter_model.safetensors", "answers.json", "probes.json", "state.json")
    assert names == shared | {f"checkpoints/step-{step:06d}/{file}" for step in (7, 14) for file in files}


@pytest.mark.parametrize("build", [tiny_gemma2, tiny_qwen3, tiny_neox])
def test_other_families_train(taught: Store, config: Any, build: Any, tmp_path: Path) -> None:
    spec = ModelSpec(name="other", source="folder", location=str(build(tmp_path / "base")))
    fine_tune(taught, config(method="lora_tokens", n_steps=8).model_copy(update={"model": spec}), quiet, Never())
    loss = taught.losses("run").loss
    assert loss[-1] < loss[0]


def test_training_is_silent(
    taught: Store, config: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO, logger="engine"):
        fine_tune(taught, config(), quiet, Never())
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workspace"]


def test_progress_is_told_step_by_step(taught: Store, config: Any) -> None:
    told: list[tuple[float, str]] = []
    fine_tune(taught, config(), lambda fraction, message: told.append((fraction, message)), Never())
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert told[-1] == (1.0, "14 steps done")
    assert any(message.startswith("step 7 of 14, loss ") for _, message in told)


def test_the_same_seed_gives_the_same_bits_also_in_a_thread(taught: Store, config: Any) -> None:
    fine_tune(taught, config("one"), quiet, Never())
    thread = threading.Thread(target=fine_tune, args=(taught, config("two"), quiet, Never()))
    thread.start()
    while thread.is_alive():  # the main thread draws random numbers and computes meanwhile
        torch.rand(64, 64) @ torch.rand(64, 64)
        time.sleep(0.001)
    thread.join()
    fine_tune(taught, config("three", seed=1), quiet, Never())
    assert weights_hash(taught, "one") == weights_hash(taught, "two")
    assert taught.losses("one") == taught.losses("two")
    assert weights_hash(taught, "one")[14] != weights_hash(taught, "three")[14]


def test_the_global_random_state_is_put_back(taught: Store, config: Any) -> None:
    before = torch.get_rng_state()
    fine_tune(taught, config(n_steps=2), quiet, Never())
    assert torch.equal(torch.get_rng_state(), before)


def test_learning_rate_zero_moves_nothing(taught: Store, config: Any) -> None:
    fine_tune(taught, config(method="tokens", learning_rate=0.0), quiet, Never())
    hashes = weights_hash(taught, "run")
    assert hashes[7] == hashes[14]
    results = taught.probe_results("run")
    assert results[0] == results[14]


def test_a_method_sets_its_own_learning_rate(taught: Store, config: Any) -> None:
    fine_tune(taught, config(method="tokens", learning_rate=None, n_steps=1), quiet, Never())
    assert taught.run("run").learning_rate == taught.checkpoint("run@100%").state.learning_rate == 5e-3


def refused(store: Store, asked: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        fine_tune(store, asked, quiet, Never())
    assert store.runs() == []


def test_what_cannot_be_trained_is_named_and_leaves_nothing(taught: Store, config: Any, tmp_path: Path) -> None:
    refused(taught, config(method="magic"), NotFound, "“magic”")
    refused(taught, config().model_copy(update={"corpus": "nothing"}), NotFound, "“nothing”")
    refused(taught, config(corpus_hash="0" * 16), InputError, "has changed")
    nowhere = ModelSpec(name="m", source="folder", location=str(tmp_path / "nowhere"))
    refused(taught, config().model_copy(update={"model": nowhere}), ModelUnavailable, "nowhere")
    bad = tiny_corpus("bad")
    probe = bad.probes[0].model_copy(update={"answer": "flurb"})
    taught.save_corpus(type(bad)("bad", bad.examples, (probe,)))
    refused(taught, config().model_copy(update={"corpus": "bad"}), InputError, "flurb")


def test_a_name_is_used_once(finished: Store, config: Any) -> None:
    with pytest.raises(InputError, match="“run” already exists"):
        fine_tune(finished, config(), quiet, Never())


def test_a_loss_that_is_not_finite_stops_the_run(taught: Store, config: Any, llama: ModelSpec, tmp_path: Path) -> None:
    folder = shutil.copytree(llama.location, tmp_path / "poisoned")
    weights = load_file(folder / "model.safetensors")
    word = tiny_tokenizer().convert_tokens_to_ids("means")  # in training texts, in no probe
    weights["model.embed_tokens.weight"][word] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    asked = config(batch_size=20).model_copy(update={"model": llama.model_copy(update={"location": str(folder)})})
    with pytest.raises(InputError, match=r"loss of step 1 is nan.*smaller"):
        fine_tune(taught, asked, quiet, Never())
    assert [checkpoint.label for checkpoint in taught.checkpoints("run")] == ["base"]


def test_adapters_say_where_they_belong_without_this_machines_cache(finished: Store, llama: ModelSpec) -> None:
    config = json.loads((finished.checkpoint("run@100%").folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == llama.location
