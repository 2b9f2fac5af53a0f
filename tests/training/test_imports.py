"""Checkpoints of a plain PEFT and Trainer script, taken in as a run."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, TrainableTokensConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.analysis.losses import ToldLoss
from engine.domain.corpus import Corpus
from engine.domain.errors import Canceled, Damaged, InputError, StorageFailed
from engine.domain.jobs import ImportCheckpoints, MeasureProbes, TrainTranscoders
from engine.domain.models import DEMO_MODEL, ModelSpec, TranscoderTraining
from engine.domain.runs import NO_CORPUS, CheckpointState
from engine.models.adapters import checkpoint_hash, merged_weights, read_weights
from engine.models.base import encode, load_base
from engine.store import Store
from engine.training.fine_tune import fine_tune
from engine.training.probing import run_probes
from engine.workflows import imports, run, texts
from engine.workflows.changes import captures_of
from engine.workflows.imports import import_adapters, import_checkpoints
from engine.workflows.queries import run_scores
from engine.workflows.transcoders import train_transcoders
from tests.tiny import tiny_corpus, tiny_gemma2
from tests.training.conftest import After, Never, pickled, quiet, run_config
from tests.training.trained_elsewhere import plain_script, take_in


def test_a_parent_folder_becomes_a_run(taught: Store, script: Path, llama: ModelSpec) -> None:
    assert take_in(taught, [script], llama, corpus="tiny") == "mine"
    config, checkpoints = taught.run("mine"), taught.checkpoints("mine")
    assert [c.step for c in checkpoints] == [0, 2, 4, 6]
    assert [c.label for c in checkpoints] == ["base", "step2", "step4", "100%"]
    assert (config.imported, config.method, config.n_steps, config.rank, config.alpha) == (True, "lora", 6, 4, 12)
    assert taught.runs()[0].finished
    log = json.loads((script / "checkpoint-6" / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    logged = {row["step"]: row["loss"] for row in log if "loss" in row}
    assert {c.step: c.state.loss for c in checkpoints} == {0: None, **{step: logged[step] for step in (2, 4, 6)}}
    assert dict(zip(taught.losses("mine").step, taught.losses("mine").loss, strict=True)) == logged
    rank_4_on_q_and_v = 2 * 2 * 4 * (32 + 32)
    assert {c.state.n_trainable for c in checkpoints[1:]} == {rank_4_on_q_and_v}
    assert pickled(taught.run_folder("mine")) == []
    assert taught.check() == []


def test_a_killed_import_that_had_come_to_its_end_is_resumed(taught: Store, script: Path, llama: ModelSpec) -> None:
    """Killed after its run was there and before its job was told to be done."""
    asked = ImportCheckpoints(name="mine", folders=(str(script),), model=llama, corpus="tiny")
    import_checkpoints(taught, asked, quiet, Never())
    before = {path: path.read_bytes() for path in taught.run_folder("mine").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="already exists"):
        import_checkpoints(taught, asked, quiet, Never())
    again = asked.model_copy(update={"resume": True})
    assert import_checkpoints(taught, again, quiet, Never()) == "mine"
    fewer = again.model_copy(update={"folders": (str(script / "checkpoint-6"),)})
    for other in (fewer, again.model_copy(update={"corpus": None})):
        with pytest.raises(InputError, match="already exists"):  # it is another run
            import_checkpoints(taught, other, quiet, Never())
    assert {path: path.read_bytes() for path in taught.run_folder("mine").rglob("*") if path.is_file()} == before
    (taught.run_folder("mine") / "checkpoints" / "step-000004" / "adapter_model.safetensors").write_bytes(b"another")
    with pytest.raises(InputError, match="already exists"):
        import_checkpoints(taught, again, quiet, Never())


def test_an_imported_checkpoint_is_the_scripts(taught: Store, script: Path, llama: ModelSpec) -> None:
    take_in(taught, [script], llama, corpus="tiny")
    loaded = load_base(llama)
    adapter = taught.checkpoint("mine@100%").adapter
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(llama.location), script / "checkpoint-6")
    ids = encode(loaded, "the cat is blarf")
    torch.testing.assert_close(
        merged_weights(loaded, adapter)(ids).logits, plain.eval()(ids).logits, rtol=1e-4, atol=1e-5
    )
    assert checkpoint_hash(loaded, adapter) == checkpoint_hash(loaded, script / "checkpoint-6")
    results = taught.probe_results("mine")
    assert set(results) == {0, 2, 4, 6}
    assert results[6] == run_probes(plain, loaded.tokenizer, tiny_corpus().probes)
    assert results[0] != results[6]


def test_checkpoints_of_all_weights(taught: Store, llama: ModelSpec, tmp_path: Path) -> None:
    out = plain_script(Path(llama.location), tmp_path / "out", None)
    take_in(taught, [out], llama, corpus="tiny")
    assert [c.step for c in taught.checkpoints("mine")] == [0, 2, 4, 6]
    assert len(taught.losses("mine").step) == 6
    loaded = load_base(llama)
    theirs = AutoModelForCausalLM.from_pretrained(out / "checkpoint-6")
    expected, found = run_probes(theirs, loaded.tokenizer, tiny_corpus().probes), taught.probe_results("mine")[6]
    assert found.predicted == expected.predicted
    assert found.p == pytest.approx(expected.p, abs=1e-6)
    assert pickled(taught.run_folder("mine")) == []
    assert taught.check() == []


def test_single_folders_without_a_corpus(taught: Store, script: Path, llama: ModelSpec) -> None:
    take_in(taught, [script / "checkpoint-6", script / "checkpoint-2"], llama)
    assert [c.step for c in taught.checkpoints("mine")] == [0, 2, 6]
    assert taught.run("mine").corpus == NO_CORPUS
    assert taught.probe_results("mine") == {}
    assert run_scores(taught, "mine").empty


def test_of_a_run_without_a_corpus_the_models_write_the_texts(
    taught: Store, script: Path, llama: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "N_WRITTEN", 12)
    take_in(taught, [script / "checkpoint-6"], llama)
    refs = ("mine@base", "mine@100%")
    small = TranscoderTraining(n_features=16, top_k=2, n_steps=2, batch_tokens=16)
    train_transcoders(taught, TrainTranscoders(name="own", checkpoints=refs, training=small), quiet, Never())
    written = taught.written_texts("mine")
    assert written is not None
    assert 6 < len(written.texts) <= 12
    checkpoints = [taught.checkpoint(ref) for ref in refs]
    assert texts.texts_of(taught, checkpoints, 0, 0) == (list(written.texts), [])
    assert not texts.needs_written_texts(taught, "mine")
    assert not texts.has_texts(taught, taught.run("mine"))
    assert texts.has_texts(taught, taught.run("mine").model_copy(update={"model": DEMO_MODEL}))  # it has a world
    (taught.run_folder("mine") / "texts.json").write_text("[", encoding="utf-8")
    assert [damaged.path.name for damaged in taught.check()] == ["texts.json"]


def test_the_step_may_come_from_the_folders_name(taught: Store, out: Path, llama: ModelSpec) -> None:
    for path in out.glob("*/trainer_state.json"):
        path.unlink()
    take_in(taught, [out], llama)
    assert [c.step for c in taught.checkpoints("mine")] == [0, 2, 4, 6]
    assert {c.state.loss for c in taught.checkpoints("mine")} == {None}


def test_a_mean_over_steps_is_not_the_loss_of_a_step(taught: Store, llama: ModelSpec, tmp_path: Path) -> None:
    adapter = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    take_in(taught, [plain_script(Path(llama.location), tmp_path / "out", adapter, logging_steps=2)], llama)
    assert {c.state.loss for c in taught.checkpoints("mine")} == {None}
    log = taught.losses("mine")
    assert log.step == (2, 4, 6)
    assert [capture.smoothed_loss for capture in captures_of(taught, "mine")] == [None, *log.loss]
    told = [taught.told_loss(c) for c in taught.checkpoints("mine")]
    assert told == [None, *(ToldLoss(loss, (step - 1, step)) for step, loss in zip(log.step, log.loss, strict=True))]


@pytest.mark.parametrize("kind", ["tokens", "lora_tokens"])
def test_trained_tokens_of_a_tied_model(taught: Store, kind: str, tmp_path: Path) -> None:
    base = tiny_gemma2(tmp_path / "base")
    adapter = {
        "tokens": TrainableTokensConfig(token_indices=[90, 91], task_type="CAUSAL_LM"),
        "lora_tokens": LoraConfig(
            r=2, target_modules=["q_proj"], trainable_token_indices=[90, 91], task_type="CAUSAL_LM"
        ),
    }[kind]
    spec = ModelSpec(name="gemma", source="folder", location=str(base))
    take_in(taught, [plain_script(base, tmp_path / "out", adapter)], spec, corpus="tiny")
    assert taught.run("mine").method == kind
    assert set(taught.probe_results("mine")) == {0, 2, 4, 6}


def test_what_a_run_of_this_house_kept_can_be_taken_in(taught: Store, llama: ModelSpec) -> None:
    fine_tune(taught, run_config(llama, method="full"), quiet, Never())
    kept = taught.run_folder("run") / "checkpoints"
    take_in(taught, [kept], llama, corpus="tiny")
    config = taught.run("mine")
    assert (config.method, config.imported) == ("full", True)
    assert [c.step for c in taught.checkpoints("mine")] == [0, 7, 14]
    assert taught.probe_results("mine") == taught.probe_results("run")
    loaded = load_base(llama)
    hashes = [checkpoint_hash(loaded, taught.checkpoint(f"{run}@step14").adapter) for run in ("run", "mine")]
    assert hashes[0] == hashes[1]
    assert taught.check() == []
    (kept / "step-000007" / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"no weights\.safetensors"):
        take_in(taught, [kept / "step-000007"], llama, name="other")


def test_a_root_that_is_the_last_checkpoint_is_no_further_one(taught: Store, out: Path, llama: ModelSpec) -> None:
    """As Trainer's save_model leaves it."""
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copyfile(out / "checkpoint-6" / name, out / name)
    take_in(taught, [out], llama)
    assert [c.step for c in taught.checkpoints("mine")] == [0, 2, 4, 6]


def test_steps_are_set_by_hand_and_one_alone_needs_none(taught: Store, out: Path, llama: ModelSpec) -> None:
    (out / "checkpoint-2" / "trainer_state.json").unlink()
    (out / "checkpoint-2").rename(out / "best")
    take_in(taught, [out / "best"], llama, name="alone")
    assert [c.step for c in taught.checkpoints("alone")] == [0, 1]
    folders = [out / "checkpoint-4", out / "checkpoint-6"]
    import_adapters(
        taught, folders, name="by-hand", model=llama, corpus=None, steps=[10, 20], report=quiet, cancel=Never()
    )  # fmt: skip
    assert [c.step for c in taught.checkpoints("by-hand")] == [0, 10, 20]


def test_losses_that_are_no_numbers_are_gaps_and_can_be_read_again(taught: Store, out: Path, llama: ModelSpec) -> None:
    path = out / "checkpoint-6" / "trainer_state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    state["log_history"] += [{"step": 6, "loss": float("nan"), "learning_rate": 0.1}]
    path.write_text(json.dumps(state), encoding="utf-8")
    take_in(taught, [out], llama)
    found = taught.losses("mine").loss
    assert [math.isnan(loss) for loss in found] == [False] * 5 + [True]
    assert taught.checkpoints("mine")[-1].state.loss is None
    assert taught.check() == []


def test_what_the_trainer_evaluated_and_other_logs_are_kept(
    taught: Store, out: Path, llama: ModelSpec, tmp_path: Path
) -> None:
    path = out / "checkpoint-6" / "trainer_state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    state["log_history"] += [{"step": 2, "eval_loss": 3.5}, {"step": 6, "eval_loss": 2.5}]
    path.write_text(json.dumps(state), encoding="utf-8")
    (log := tmp_path / "acc.csv").write_text("step,acc\n2,0.25\n6,0.75\n", encoding="utf-8")
    request = ImportCheckpoints(name="logged", folders=(str(out),), model=llama, logs=(str(log),))
    import_checkpoints(taught, request, quiet, Never())
    series = taught.metrics("logged").series
    assert (series["eval_loss"].step, series["eval_loss"].value) == ((2, 6), (3.5, 2.5))
    assert (series["acc"].step, series["acc"].value) == ((2, 6), (0.25, 0.75))
    assert taught.check() == []
    with pytest.raises(InputError, match="There is no file"):
        import_checkpoints(taught, request.model_copy(update={"name": "not", "logs": ("gone.csv",)}), quiet, Never())
    assert "not" not in {info.name for info in taught.runs()}


@pytest.mark.parametrize("change", ["_orig_mod", "_checkpoint_wrapped_module", "default"])
def test_names_as_other_tools_write_them(taught: Store, out: Path, llama: ModelSpec, change: str) -> None:
    path = out / "checkpoint-6" / "adapter_model.safetensors"
    before = load_file(path)
    renamed = {
        name.replace(".weight", ".default.weight")
        if change == "default"
        else name.replace("base_model.model.", f"base_model.model.{change}."): w
        for name, w in before.items()
    }
    save_file(renamed, path, metadata={"format": "pt"})
    take_in(taught, [out / "checkpoint-6"], llama)
    adapter = taught.checkpoints("mine")[-1].adapter
    assert adapter is not None
    found = read_weights(adapter)
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in before)


def test_an_adapter_in_shards_is_as_in_one_file(taught: Store, out: Path, llama: ModelSpec, tmp_path: Path) -> None:
    """As transformers writes a large one, with the index named as that of a whole model."""
    whole, made = out / "checkpoint-6", tmp_path / "made"
    model = AutoModelForCausalLM.from_pretrained(llama.location)
    model.load_adapter(str(whole))
    model.save_pretrained(made, max_shard_size="1KB")
    shards = sorted(made.glob("adapter_model-*.safetensors"))
    assert len(shards) > 1
    assert not (made / "adapter_model.safetensors").exists()
    take_in(taught, [made], llama)
    adapter = taught.checkpoints("mine")[-1].adapter
    assert adapter is not None
    found, before = read_weights(adapter), load_file(whole / "adapter_model.safetensors")
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in before)
    shutil.copyfile(shards[0], shards[-1])
    with pytest.raises(Damaged, match="lies in another of the files, too"):
        take_in(taught, [made], llama, name="less")
    shards[-1].unlink()
    with pytest.raises(InputError, match=f"{shards[-1].name} is missing, which model.safetensors.index.json names"):
        take_in(taught, [made], llama, name="less")
    (made / "model.safetensors.index.json").unlink()
    with pytest.raises(InputError, match="it has shards and no index that names them"):
        take_in(taught, [made], llama, name="less")


@pytest.mark.parametrize("alpha", [0.5, 0, -4])  # below 0: what was trained is taken off the base
def test_what_is_off_and_unknown_is_passed_over_and_alpha_is_as_written(
    taught: Store, out: Path, llama: ModelSpec, alpha: float
) -> None:
    path = out / "checkpoint-6" / "adapter_config.json"
    more = {"flux_config": None, "lora_alpha": alpha, "base_model_name_or_path": "D:\\Modelle\\x"}
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")
    take_in(taught, [out / "checkpoint-6"], llama)
    assert taught.run("mine").alpha == alpha


def test_a_run_longer_and_wider_than_is_trained_here(taught: Store, out: Path, llama: ModelSpec) -> None:
    state = out / "checkpoint-6" / "trainer_state.json"
    more = {"global_step": 1_500_000, "max_steps": 50_000_000, "train_batch_size": 8192}
    state.write_text(json.dumps(json.loads(state.read_text(encoding="utf-8")) | more), encoding="utf-8")
    take_in(taught, [out], llama)
    config = taught.run("mine")
    assert (config.n_steps, config.batch_size) == (50_000_000, 8192)
    assert [one.step for one in taught.checkpoints("mine")] == [0, 2, 4, 1_500_000]
    assert taught.checkpoint("mine@step1500000").state.examples_seen == 1_500_000 * 8192


def test_nothing_of_a_canceled_or_failed_import_stays(
    taught: Store, script: Path, llama: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (1, 2, 4):
        with pytest.raises(Canceled):
            import_adapters(
                taught, [script], name="mine", model=llama, corpus="tiny", report=quiet, cancel=After(n)
            )  # fmt: skip
        assert taught.runs() == []
    real = imports.write_state

    def full(folder: Path, state: CheckpointState) -> None:
        if state.step == 4:
            raise OSError(28, "No space left on device")
        real(folder, state)

    monkeypatch.setattr(imports, "write_state", full)
    with pytest.raises(StorageFailed, match="disk is full"):
        take_in(taught, [script], llama)
    assert taught.runs() == []
    assert list((taught.workspace / "runs").glob("*")) == []


def test_probes_are_measured_later_as_at_the_import(taught: Store, script: Path, llama: ModelSpec) -> None:
    corpus = tiny_corpus().name
    take_in(taught, [script], llama, corpus=corpus)
    measured = taught.probe_results("mine")
    taught.delete_run("mine")
    take_in(taught, [script], llama)
    (before,) = (info for info in taught.runs() if info.name == "mine")
    request = MeasureProbes(run="mine", corpus=corpus)
    with pytest.raises(Canceled):
        run(taught, request, quiet, After(2))
    assert (taught.run("mine").corpus, taught.probe_results("mine")) == (NO_CORPUS, {})  # all of it or nothing
    with pytest.raises(InputError, match="imported without a corpus, whose probes are needed"):
        run(taught, MeasureProbes(run="mine"), quiet, Never())
    assert run(taught, request, quiet, Never()) == "mine"
    assert taught.probe_results("mine") == measured
    (after,) = (info for info in taught.runs() if info.name == "mine")
    assert (after.config.corpus, after.config.corpus_hash) == (corpus, taught.corpus(corpus).hash)
    assert after.created_at == pytest.approx(before.created_at, abs=1e-3)
    assert not run_scores(taught, "mine").empty
    assert taught.check() == []


def test_scores_of_another_corpus_are_replaced_only_where_that_is_said(
    taught: Store, script: Path, llama: ModelSpec
) -> None:
    own = tiny_corpus()
    take_in(taught, [script], llama, corpus=own.name)
    held = taught.probe_results("mine")
    odd = Corpus(name="odd", examples=own.examples, probes=own.probes[:3])
    taught.save_corpus(odd)
    request = MeasureProbes(run="mine", corpus="odd")
    lost = f"scores of {len(own.probes)} probes of the corpus “tiny”, at {len(held)} checkpoints.*3 probes of “odd”"
    with pytest.raises(InputError, match=f"{lost}.*`probe mine --corpus odd --replace`"):
        run(taught, request, quiet, Never())
    assert (taught.run("mine").corpus, taught.probe_results("mine")) == ("tiny", held)
    run(taught, MeasureProbes(run="mine", corpus="tiny"), quiet, Never())  # its own, named: nothing is lost
    assert taught.probe_results("mine") == held
    run(taught, request.model_copy(update={"replace": True}), quiet, Never())
    assert taught.run("mine").corpus == "odd"
    assert {len(one.probe_id) for one in taught.probe_results("mine").values()} == {3}
