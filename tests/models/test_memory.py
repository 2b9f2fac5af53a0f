"""Weights that do not fit are refused before any is read."""

import gc
import json
from pathlib import Path

import pytest
import torch

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.models import ModelSpec
from engine.models import memory
from engine.models.base import check_base, load_base
from engine.models.memory import free_memory, weight_bytes
from engine.store import Store
from engine.store.kept import kept_values
from engine.workflows.loading import base_model
from tests.tiny import tiny_llama
from tests.torch_peak import torch_peak

CPU = torch.device("cpu")


def spec(folder: Path) -> ModelSpec:
    return ModelSpec(name="large", source="folder", location=str(folder))


def test_bytes_are_those_of_the_loaded_model(tmp_path: Path) -> None:
    model = load_base(spec(tiny_llama(tmp_path))).model
    n = sum(parameter.numel() for parameter in model.parameters())
    assert weight_bytes(tmp_path, torch.float32) == 4 * n
    assert weight_bytes(tmp_path, torch.bfloat16) == 2 * n


def test_a_model_larger_than_what_is_free_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_llama(tmp_path)
    monkeypatch.setattr(memory, "free_memory", lambda device, wanted=0: 1000)
    with pytest.raises(ModelUnavailable, match=r"“large” takes 1 MB in float32.* Load it as bfloat16"):
        load_base(spec(tmp_path))


@pytest.mark.parametrize("said", [{"head_dim": 2**31}, {"num_attention_heads": 64, "head_dim": 64}])
def test_a_model_larger_than_its_files_is_refused_before_memory_is_asked_for(
    said: dict[str, int], tmp_path: Path
) -> None:
    path = tiny_llama(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | said), encoding="utf-8")
    for look in (check_base, load_base):
        with (
            torch_peak() as peak,
            pytest.raises(Damaged, match=r"config\.json is damaged: it tells of a model of .*hold"),
        ):
            look(spec(tmp_path))
        assert peak.n_bytes < 10**6


def test_a_broken_file_is_damaged(tmp_path: Path) -> None:
    (tiny_llama(tmp_path) / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(Damaged, match="the weights cannot be read"):
        load_base(spec(tmp_path))


def test_work_that_needs_it_gets_the_memory_of_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept_values().clear()
    kept_values().get("x", lambda: torch.zeros(100), size=lambda _: 400)
    monkeypatch.setattr(memory, "free_here", lambda: 1000 if kept_values().has("x") else 1400)
    assert free_memory(CPU, 1000) == 1000
    assert kept_values().has("x")
    assert free_memory(CPU, 1200) == 1400
    assert not kept_values().has("x")
    assert free_memory(CPU, 10**15) == 1400  # nothing is left


def test_a_loaded_model_is_kept_by_its_bytes_and_not_loaded_twice_while_a_job_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_values().clear()
    store, wanted = Store(tmp_path / "w"), spec(tiny_llama(tmp_path / "m"))
    loaded = base_model(store, wanted)
    n_bytes = sum(one.nbytes for one in loaded.model.parameters())
    assert n_bytes <= kept_values().by_holder()["models"] <= 1.1 * n_bytes
    assert base_model(store, wanted) is loaded
    monkeypatch.setattr(kept_values(), "budget", 10)
    kept_values().let_go(n_bytes)
    assert base_model(store, wanted) is loaded  # this test has it, as a job would
    del loaded
    gc.collect()
    assert kept_values().n_bytes_in_use == 0


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = free_memory(CPU)
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("4000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    monkeypatch.setattr("engine.store.memory._CGROUP", tmp_path)
    assert free_memory(CPU) == 1_500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) > 5_000_000
    assert whole > 5_000_000
