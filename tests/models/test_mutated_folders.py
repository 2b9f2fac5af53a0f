"""Whatever is wrong with a folder from elsewhere, reading it ends in one of our errors or in a model.

TRACELAPSE_MUTATIONS sets how many spoilt files of each kind are tried.
"""

import os
import shutil
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from engine.corpus.files import parse_corpus
from engine.domain.errors import TracelapseError
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.runs import LossLog
from engine.models.as_trained import check_as_trained
from engine.models.base import LoadedModel, load_base
from engine.models.kept_answers import ANSWERS
from engine.models.sharing import checkpoint_model
from engine.models.transcoders import load_transcoders, transcoders_hash
from engine.store import BUNDLED
from engine.studies.spec import read_study
from engine.training.resume import (
    ResumePoint,
    random_state_restored,
    read_optimizer,
    read_point,
    read_random,
    write_optimizer,
    write_point,
    write_random,
)
from engine.workflows.checkpoint_folders import preview
from tests.families import loaded_family
from tests.models.transcoder_folders import cross_layer, drawn, gemma_scope, saelens, sparsify, tracer
from tests.mutations import spoilt
from tests.tiny import tiny_corpus, tiny_llama

ROOT = Path(__file__).parents[2]
N = int(os.environ.get("TRACELAPSE_MUTATIONS", "6"))
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_llama(tmp_path_factory.mktemp("model") / "tiny")
    (folder / "chat_template.jinja").write_text(
        "{% for turn in messages %}{{ turn['content'] }}{% endfor %}", encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> LoadedModel:
    return load_base(ModelSpec(name="tiny", source="folder", location=str(model_folder)))


@pytest.fixture(scope="module")
def adapter(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter") / "checkpoint-4"
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model_folder), LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    )
    model.save_pretrained(folder)
    (folder / "trainer_state.json").write_text(
        '{"global_step": 4, "max_steps": 8, "log_history": [{"step": 2, "loss": 1.5, "learning_rate": 0.001}]}',
        encoding="utf-8",
    )
    return folder


def attempt(good: Path, into: Path, name: str, data: st.DataObject, read: Callable[[Path], object]) -> None:
    """Copies a folder, spoils one of its files and reads it."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(good, into)
    (into / name).write_bytes(spoilt(data, (good / name).read_bytes(), name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(into)
        except TracelapseError:
            return


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "model.safetensors",
    ],
)
@settings(max_examples=N, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_spoilt_model(tmp_path: Path, model_folder: Path, name: str, data: st.DataObject) -> None:
    def read(folder: Path) -> None:
        load_base(ModelSpec(name="tiny", source="folder", location=str(folder)))

    attempt(model_folder, tmp_path / "model", name, data, read)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "trainer_state.json"])
@settings(max_examples=N, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_spoilt_adapter(tmp_path: Path, loaded: LoadedModel, adapter: Path, name: str, data: st.DataObject) -> None:
    def read(folder: Path) -> None:
        for one in preview([folder]).taken:
            check_as_trained(loaded, one.path)

    attempt(adapter, tmp_path / "checkpoint-4", name, data, read)


@pytest.mark.parametrize("name", ["progress.json", "optimizer.safetensors", "optimizer.json", "random.json"])
@settings(max_examples=N, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_spoilt_resume_state(tmp_path: Path, name: str, data: st.DataObject) -> None:
    good = tmp_path / "good"
    if not good.exists():
        good.mkdir()
        optimizer, scheduler = an_optimizer()
        write_optimizer(good, optimizer, scheduler)
        write_random(good)
        write_point(
            good, ResumePoint(step=1, wall_time_s=1.0, losses=LossLog(step=(1,), loss=(1.0,), learning_rate=(0.1,)))
        )

    def read(folder: Path) -> None:
        read_point(folder)
        optimizer, scheduler = an_optimizer()
        read_optimizer(folder, optimizer, scheduler)
        optimizer.step()
        with random_state_restored():
            read_random(folder)

    attempt(good, tmp_path / "resume", name, data, read)


def an_optimizer() -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    weight.grad = torch.ones(3)
    optimizer.step()
    scheduler.step()
    return optimizer, scheduler


@pytest.fixture(scope="module")
def demo() -> LoadedModel:
    return load_base(DEMO_MODEL)


@pytest.mark.parametrize("name", ["set.json", "layer_0.safetensors"])
@settings(max_examples=N, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_spoilt_transcoder_set(tmp_path: Path, demo: LoadedModel, name: str, data: st.DataObject) -> None:
    def read(folder: Path) -> None:
        transcoders_hash(folder)
        load_transcoders(folder, demo)

    attempt(next((BUNDLED / "transcoders").iterdir()), tmp_path / "set", name, data, read)


PUBLISHED = {
    "config.yaml": ("llama", tracer("activation: topk\nk: 5\n")),
    "layer_1.safetensors": ("llama", tracer(skip=True)),
    "cfg.json": ("llama", saelens("topk", k=5)),
    "sae_weights.safetensors": ("llama", saelens("jumprelu_transcoder")),
    "sae.safetensors": ("llama", sparsify()),
    "params.npz": ("gemma2", gemma_scope()),
    "W_dec_1.safetensors": ("llama", cross_layer()),
}


@pytest.mark.parametrize("name", PUBLISHED)
@settings(max_examples=N, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_spoilt_published_set(tmp_path: Path, name: str, data: st.DataObject) -> None:
    family, write = PUBLISHED[name]
    model, good = published_for(family), tmp_path / "good"
    if not good.exists():
        good.mkdir()
        write(good, drawn(model.n_layers, model.d_model))

    def read(folder: Path) -> None:
        transcoders_hash(folder)
        found = load_transcoders(folder, model)
        found.encode_layer(torch.ones(3, model.d_model), 1)
        found._get_decoder_vectors(1, torch.tensor([0]))

    attempt(good, tmp_path / "set", str(max(good.rglob(name)).relative_to(good)), data, read)


published_for = cache(loaded_family)


@settings(max_examples=N, suppress_health_check=SLOW)
@given(data=st.data())
def test_spoilt_answers(tmp_path: Path, loaded: LoadedModel, adapter: Path, data: st.DataObject) -> None:
    good = tmp_path / "good"
    if not good.exists():
        shutil.copytree(adapter, good)
        check_as_trained(loaded, good)
    attempt(good, tmp_path / "checkpoint-4", ANSWERS, data, lambda folder: checkpoint_model(loaded, folder))


@settings(max_examples=4 * N, suppress_health_check=SLOW)
@given(data=st.data(), suffix=st.sampled_from([".jsonl", ".csv", ".json"]))
def test_a_spoilt_corpus(data: st.DataObject, suffix: str) -> None:
    raw = tiny_corpus().to_jsonl().encode()
    try:
        parse_corpus(spoilt(data, raw, "corpus.jsonl"), f"mine{suffix}", "mine")
    except TracelapseError:
        return


@settings(max_examples=4 * N, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_spoilt_study(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(spoilt(data, (ROOT / "data" / "measures.yaml").read_bytes(), path.name))
    try:
        read_study(path)
    except TracelapseError:
        return
