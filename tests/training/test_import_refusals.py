"""What an import refuses, by name, and that nothing of it stays."""

import json
import re
import shutil
from pathlib import Path

import pytest

from engine.domain.errors import Damaged, InputError, NameRefused, NotFound, TracelapseError
from engine.domain.models import ModelSpec
from engine.store import Store
from tests.tiny import tiny_gemma2
from tests.training.trained_elsewhere import take_in


def refused(store: Store, folders: list[Path], model: ModelSpec, kind: type[TracelapseError], match: str) -> None:
    with pytest.raises(kind, match=match):
        take_in(store, folders, model)
    assert store.runs() == []
    assert list((store.workspace / "runs").glob("*")) == []


def test_an_adapter_for_another_model_is_refused(taught: Store, script: Path, tmp_path: Path) -> None:
    spec = ModelSpec(name="gemma", source="folder", location=str(tiny_gemma2(tmp_path / "base")))
    refused(taught, [script], spec, InputError, "does not fit this model")


def test_pickled_adapters_are_refused(taught: Store, out: Path, llama: ModelSpec) -> None:
    (out / "checkpoint-4" / "adapter_model.safetensors").rename(out / "checkpoint-4" / "adapter_model.bin")
    refused(taught, [out], llama, InputError, r"checkpoint-4.*never read")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "trainer_state.json"])
def test_links_that_lead_outside_are_refused(taught: Store, out: Path, llama: ModelSpec, name: str) -> None:
    path = out / "checkpoint-4" / name
    path.rename(out / "elsewhere")
    path.symlink_to(out / "elsewhere")
    refused(taught, [out], llama, InputError, "link to a file outside")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "trainer_state.json"])
def test_truncated_files_are_named(taught: Store, out: Path, llama: ModelSpec, name: str) -> None:
    path = out / "checkpoint-6" / name
    path.write_bytes(path.read_bytes()[:100])
    refused(taught, [out], llama, Damaged, name.split(".", maxsplit=1)[0])


def test_folders_that_are_none(taught: Store, out: Path, llama: ModelSpec, tmp_path: Path) -> None:
    refused(taught, [], llama, InputError, "No folder")
    refused(taught, [tmp_path / "nowhere"], llama, InputError, "is not a folder")
    (tmp_path / "empty").mkdir()
    refused(taught, [tmp_path / "empty"], llama, InputError, "holds no checkpoint")
    shutil.copytree(out / "checkpoint-4", out / "checkpoint-5")
    shutil.copyfile(out / "checkpoint-2" / "trainer_state.json", out / "checkpoint-5" / "trainer_state.json")
    shutil.copyfile(
        out / "checkpoint-6" / "adapter_model.safetensors", out / "checkpoint-2" / "adapter_model.safetensors"
    )
    refused(taught, [out / "checkpoint-2", out / "checkpoint-5"], llama, InputError, "is of step 2 too")


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("r", "4", "which is no number"),
        ("lora_alpha", 10**400, "which is no number"),
        ("flux_config", {"rank": 2}, r"sets flux_config in .*, which PEFT .* does not know"),
    ],
)
def test_settings_that_cannot_be_used_name_the_persons_folder(
    taught: Store, out: Path, llama: ModelSpec, setting: str, value: object, said: str
) -> None:
    path = out / "checkpoint-6" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {setting: value}), encoding="utf-8")
    refused(taught, [out], llama, InputError, rf"Not taken in: {re.escape(str(path.parent))}: it .*{said}")


def test_names_that_cannot_be(taught: Store, script: Path, llama: ModelSpec) -> None:
    with pytest.raises(NameRefused):
        take_in(taught, [script], llama, name="../evil")
    with pytest.raises(NotFound, match="“nothing”"):
        take_in(taught, [script], llama, corpus="nothing")
    take_in(taught, [script], llama)
    with pytest.raises(InputError, match="already exists"):
        take_in(taught, [script], llama)
