"""Folders with all weights of a model: what is told of them before any is read, and the way out of a refusal."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.workflows import checkpoint_folders, full_folders
from engine.workflows.checkpoint_folders import preview


def full(folder: Path, *, value: float = 0.0, config: dict[str, object] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "llama"}), encoding="utf-8")
    save_file({"a": torch.full((2000,), value), "b": torch.zeros(2000)}, folder / "model.safetensors")
    return folder


def test_full_checkpoints_with_their_steps(tmp_path: Path) -> None:
    for step in (20, 100):
        full(tmp_path / f"checkpoint-{step}", value=step)
        (tmp_path / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"never read")
    found = preview([tmp_path])
    assert [(one.step, one.kind, one.taken) for one in found.checkpoints] == [(20, "full", True), (100, "full", True)]
    assert "reference to this folder" in found.taken[0].stored


def test_an_adapter_beside_a_configuration_is_an_adapter(tmp_path: Path) -> None:
    full(tmp_path / "x")
    (tmp_path / "x" / "adapter_config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "x" / "adapter_model.safetensors").write_bytes(b"x")
    assert [one.kind for one in preview([tmp_path / "x"]).taken] == ["adapter"]


def test_large_copies_are_told_by_a_sample_of_every_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_folders, "_LARGE", 1000)
    monkeypatch.setattr(full_folders, "_SAMPLE_BYTES", 64)
    for step in (20, 100):
        full(tmp_path / f"checkpoint-{step}", value=step)
    full(tmp_path, value=100)
    assert [one.same_as for one in preview([tmp_path]).checkpoints] == [None, None, tmp_path / "checkpoint-100"]
    full(tmp_path, value=101)
    assert preview([tmp_path]).left_out[0].path == tmp_path  # another one, and nothing says of which step


def test_what_was_exported_beside_checkpoints_does_not_stand_in_their_way(tmp_path: Path) -> None:
    full(tmp_path / "checkpoint-20")
    for name in ("model.Q8_0.gguf", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"x")
    assert [one.step for one in preview([tmp_path]).checkpoints] == [20]


def _touch(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")

    return make


def _quantised(method: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        full(folder, config={"model_type": "llama", "quantization_config": {"quant_method": method}})

    return make


def _index(files: dict[str, str], *there: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        _touch("config.json", *there)(folder)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}), encoding="utf-8")

    return make


def _linked(folder: Path) -> None:
    full(folder)
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere.safetensors")


LAYOUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle": (_touch("config.json", "pytorch_model.bin"), r"never read: convert them with `python -c .*{folder}"),
    "pickled shards": (
        _touch("config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"), "never read",
    ),
    "consolidated": (_touch("consolidated.00.pth", "params.json"), r"consolidated\.00\.pth.*never read"),
    "deepspeed": (
        _touch("config.json", "latest", "zero_to_fp32.py", "global_step7/mp_rank_00_model_states.pt"),
        r"DeepSpeed.*python {folder}/zero_to_fp32\.py {folder} OUT",
    ),
    "fsdp": (
        _touch("pytorch_model_fsdp_0/__0_0.distcp", "pytorch_model_fsdp_0/.metadata"),
        r"FSDP.*accelerate merge-weights {folder}/pytorch_model_fsdp_0 OUT",
    ),
    "bnb": (_quantised("bitsandbytes"), r"quantized \(bitsandbytes\).*{folder}.*dequantize"),
    "gptq": (_quantised("gptq"), r"quantized \(gptq\).*the weights that it was made from"),
    "awq": (_quantised("awq"), r"quantized \(awq\)"),
    "gguf": (_touch("model.Q4_1.gguf"), r"in model\.Q4_1\.gguf: add it as a model \(.*`.*models add .*Q4_1\.gguf`\)"),
    "no configuration": (_touch("model.safetensors"), "has no config.json"),
    "no index": (_touch("config.json", "model-00001-of-00002.safetensors"), r"no model\.safetensors\.index\.json"),
    "missing shard": (
        _index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
               "model-00001-of-00002.safetensors"),
        r"model-00002-of-00002\.safetensors is missing",
    ),
    "shard elsewhere": (_index({"a": "../elsewhere.safetensors"}), "lies outside its folder|link to a file outside"),
    "empty index": (_index({}), "names no weights"),
    "link": (_linked, "link to a file outside"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_refused_names_the_way_out(layout: str, tmp_path: Path) -> None:
    make, said = LAYOUTS[layout]
    folder = tmp_path / "checkpoint-7"
    folder.mkdir()
    make(folder)
    (one,) = preview([tmp_path]).checkpoints
    assert (one.step, one.kind, one.taken, one.stored) == (7, "full", False, "")
    assert re.search(said.format(folder=re.escape(str(folder))), one.why)
    assert preview([folder]).checkpoints[0].why == one.why


def test_two_hundred_folders_are_looked_through_within_a_second(tmp_path: Path) -> None:
    for step in range(1, 201):
        full(tmp_path / f"checkpoint-{step}", value=step)
    begun = time.perf_counter()
    assert len(preview([tmp_path]).taken) == 200
    assert time.perf_counter() - begun < 1.0
