"""A fine-tune of a real language model by a script of its own: three Trainer checkpoints come in, two are compared."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from engine.domain.graphs import TraceSettings
from engine.domain.jobs import Compare, ImportCheckpoints, TrainTranscoders, Where
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.store import Store
from engine.workflows.checkpoint_folders import preview
from engine.workflows.imports import import_checkpoints
from engine.workflows.queries import comparison_graphs, stored_acted
from engine.workflows.tracing import compare
from engine.workflows.transcoders import train_transcoders
from engine.workflows.where import where
from tests.training.conftest import Never, quiet

pytestmark = pytest.mark.real
PROMPT = "A blarf person is very"


def their_script(base: Path, output: Path) -> Path:
    """Nothing of ours."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["v_proj"], task_type="CAUSAL_LM"))
    ids = tokenizer(f"{tokenizer.bos_token}{PROMPT} happy").input_ids
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(output), max_steps=3, save_steps=1, learning_rate=0.01, per_device_train_batch_size=1,
            use_cpu=True, report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=[{"input_ids": ids, "labels": ids}] * 3,
    )  # fmt: skip
    trainer.train()
    return output


def test_three_trainer_checkpoints_are_imported_and_two_compared(
    real_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workflows.texts.N_WRITTEN", 8)  # by the models, as there is no corpus
    output = their_script(real_folder, tmp_path / "out")
    found = preview([output])
    assert [one.step for one in found.taken] == [1, 2, 3]
    store = Store(tmp_path / "workspace")
    spec = ModelSpec(name="mine", source="folder", location=str(real_folder))
    request = ImportCheckpoints(name="theirs", folders=(str(output),), model=spec)
    import_checkpoints(store, request, quiet, Never())
    a, b = "theirs@base", "theirs@100%"
    assert [one.step for one in store.checkpoints("theirs")] == [0, 1, 2, 3]

    where(store, Where(a=a, b=b, prompt=PROMPT, answers=("happy",)), quiet, Never())
    acted = stored_acted(store, a, b, PROMPT, ("happy",))
    assert acted is not None
    assert acted.change > 1  # it was taught this
    assert acted.sum == pytest.approx(acted.change, rel=0.02)

    small = TranscoderTraining(n_features=64, top_k=4, n_steps=4, batch_tokens=16, n_texts=4)
    asked = TrainTranscoders(name="small", checkpoints=(a, b), training=small)
    train_transcoders(store, asked, quiet, Never())
    settings = TraceSettings(max_feature_nodes=100)
    compare(store, Compare(a=a, b=b, prompts=(PROMPT,), transcoders="small", settings=settings), quiet, Never())
    graphs = comparison_graphs(store, a, b, PROMPT)
    assert graphs is not None
    assert graphs[0].n_layers == 30
    assert graphs[1].tokens[-1].strip() == "very"
