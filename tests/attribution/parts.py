"""Tiny models, adapters and transcoders to trace with."""

import copy
from dataclasses import replace
from pathlib import Path

import torch
from circuit_tracer.transcoder import TranscoderSet
from peft import LoraConfig, get_peft_model

from engine.domain.graphs import GraphKey, TraceSettings
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.domain.runs import CheckpointState, RunConfig
from engine.models.adapters import save_adapter
from engine.models.base import LoadedModel, load_base
from engine.models.transcoders import new_transcoders
from engine.store import Store
from engine.training.methods.start import stores_inputs_first
from tests.tiny import tiny_corpus, tiny_gemma2, tiny_llama, tiny_qwen3

FOLDERS = {"llama": tiny_llama, "gemma2": tiny_gemma2, "qwen3": tiny_qwen3}
DEFAULT = TraceSettings()
PROMPT = "the cat feels blarf and"
# Silent here because pytest puts its own filters in the place of engine/attribution/trace.py's.
BACKWARD_HOOK = "ignore:Full backward hook is firing:UserWarning"


def load(family: str, folder: Path) -> LoadedModel:
    if not (folder / "config.json").exists():
        FOLDERS[family](folder)
    return load_base(ModelSpec(name=f"tiny-{family}", source="folder", location=str(folder)))


def random_adapter(loaded: LoadedModel, folder: Path, *, seed: int = 1) -> Path:
    """A LoRA adapter on every linear layer, far enough from zero that it matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=2, lora_alpha=4, target_modules="all-linear", init_lora_weights=False,
            fan_in_fan_out=stores_inputs_first(loaded.model),
        )  # fmt: skip
        tuned = get_peft_model(copy.deepcopy(loaded.model), config)
    folder.mkdir(parents=True, exist_ok=True)
    save_adapter(tuned, folder, base_name="tiny")
    return folder


def random_transcoders(loaded: LoadedModel, *, seed: int = 0, n_features: int = 48, top_k: int = 6) -> TranscoderSet:
    """Untrained features with biases: nothing about a graph may depend on transcoders being good."""
    transcoders = new_transcoders(loaded, n_features, top_k, scan="random")
    generator = torch.Generator().manual_seed(seed)
    for parameter in transcoders.parameters():
        parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return transcoders.requires_grad_(requires_grad=False)


def key(prompt: str = PROMPT, *, targets: tuple[int, ...] = (), settings: TraceSettings = DEFAULT) -> GraphKey:
    return GraphKey(
        checkpoint="run@base", checkpoint_hash="0", prompt=prompt, transcoders="random", transcoders_hash="0",
        targets=targets, settings=settings,
    )  # fmt: skip


class Never:
    """A cancel token that nobody sets."""

    def check(self) -> None: ...


def silent(fraction: float, message: str) -> None:
    """A report that nobody reads."""


SMALL = TranscoderTraining(n_features=64, top_k=8, n_steps=40, batch_tokens=64, n_texts=200)
STEPS = (0, 1, 2, 4)


def add_run(
    store: Store, loaded: LoadedModel, name: str, *, seed: int, steps: tuple[int, ...] = STEPS, corpus: str = "tiny"
) -> None:
    """A finished run whose checkpoints are random adapters; `steps` begin with the base and end with the last."""
    store.save_run(RunConfig(name=name, model=loaded.spec, corpus=corpus, n_steps=steps[-1]))
    for step in steps:
        state = CheckpointState(
            step=step, max_steps=steps[-1], epoch=0, loss=None, smoothed_loss=None, learning_rate=None, seed=0,
            examples_seen=0, wall_time_s=0, corpus_hash="",
        )  # fmt: skip
        with store.new_checkpoint(name, state) as folder:
            if step:
                random_adapter(loaded, folder, seed=seed + step)


def workspace(store: Store, family: str, folder: Path) -> LoadedModel:
    """Two runs, `one` and `two`, of a tiny model on the tiny corpus."""
    loaded = load(family, folder)
    store.save_corpus(replace(tiny_corpus(), name="tiny"))
    add_run(store, loaded, "one", seed=10)
    add_run(store, loaded, "two", seed=20)
    return loaded
