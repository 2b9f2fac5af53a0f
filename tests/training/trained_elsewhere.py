"""Checkpoints as a plain PEFT and Trainer script leaves them, and how they are taken in."""

from pathlib import Path
from typing import Any

from peft import get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from engine.domain.jobs import NeverCanceled, quiet
from engine.domain.models import ModelSpec
from engine.store import Store
from engine.workflows.imports import import_adapters
from tests.tiny import tiny_corpus, tiny_tokenizer


def plain_script(base: Path, output: Path, adapter: Any, *, logging_steps: int = 1) -> Path:
    """What a user runs elsewhere: nothing of ours, Trainer's own checkpoints every 2 of 6 steps.

    Without an adapter all weights are trained.
    """
    tokenizer = tiny_tokenizer()
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if adapter is not None:
        model = get_peft_model(model, adapter)
    rows = [
        {"input_ids": (ids := tokenizer(f"<bos> {e.text}").input_ids), "labels": ids} for e in tiny_corpus().examples
    ]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(output), max_steps=6, save_steps=2, logging_steps=logging_steps, learning_rate=0.01,
            per_device_train_batch_size=1, use_cpu=True, report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=rows,
    )  # fmt: skip
    trainer.train()
    return output


def take_in(
    store: Store, folders: list[Path], model: ModelSpec, *, corpus: str | None = None, name: str = "mine"
) -> str:
    return import_adapters(store, folders, name=name, model=model, corpus=corpus, report=quiet, cancel=NeverCanceled())
