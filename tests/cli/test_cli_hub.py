"""`import` of what lies on the hub: its size is told before anything is downloaded, and no path of a cache is."""

import json
import shutil
from pathlib import Path

import pytest

from engine.store import Store
from tests.cli.conftest import Cli
from tests.hub_server import LocalHub
from tests.tiny import tiny_llama


@pytest.fixture
def lab(hub: LocalHub, tmp_path: Path) -> LocalHub:
    """`lab/tiny`, twice the same model, and an adapter that says it was trained from it."""
    folder = tiny_llama(tmp_path / "made")
    hub.repos["lab/tiny"] = {"step0": folder, "step10": Path(shutil.copytree(folder, tmp_path / "later"))}
    (adapter := tmp_path / "adapter").mkdir()
    about = {"peft_type": "LORA", "base_model_name_or_path": "lab/tiny"}
    (adapter / "adapter_config.json").write_text(json.dumps(about), encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"not looked at")
    hub.repos["me/lora"] = {"main": adapter}
    return hub


def test_revisions_are_looked_at_and_taken_in(cli: Cli, lab: LocalHub, tmp_path: Path) -> None:
    ids = ("lab/tiny@step0", "lab/tiny@step10")
    told = cli("import", *ids, "--preview", "--json", tmp_path / "seen.json")
    assert told.exit_code == 0, told.output
    assert "Downloads 1 MB from the hub into the Hugging Face cache first." in told.stdout
    assert "lab/tiny@step0 is the base that they are compared with." in told.stdout
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    size = (lab.repos["lab/tiny"]["step10"] / "model.safetensors").stat().st_size
    assert size < seen["download_bytes"] < 2 * size  # both revisions are the same weights
    (row,) = seen["checkpoints"]
    assert (row["step"], row["path"], row["kind"], row["taken"]) == (10, "lab/tiny@step10", "full", True)
    assert lab.weights_asked() == []
    done = cli("import", *ids, "--name", "mine")
    assert done.exit_code == 0, done.output
    assert "mine: base, 100%" in done.stdout
    assert str(tmp_path / "hub-cache") not in told.output + done.output
    assert Store.open().run("mine").model.location == "lab/tiny@step0"


def test_the_base_of_an_adapter_is_asked_for_before_anything_is_downloaded(cli: Cli, lab: LocalHub) -> None:
    told = cli("import", "me/lora", "--name", "mine")
    assert told.exit_code == 2
    assert "me/lora says that it was trained from lab/tiny. Name the base with --model" in told.stderr
    told = cli("import", "lab/tiny@step10", "--name", "mine")
    assert told.exit_code == 2
    assert "lab/tiny@step10 says no base model. Name the base with --model" in told.stderr
    assert lab.weights_asked() == []


def test_what_is_neither_a_folder_nor_on_the_hub_is_told(
    cli: Cli, lab: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = cli("import", "out/checkpoint-5", "--preview")
    assert told.exit_code == 2
    assert "The hub has no model “out/checkpoint-5”" in told.stderr
    assert "there is none called out/checkpoint-5" in told.stderr
    lab.asked.clear()
    (tmp_path / "out").mkdir()
    told = cli("import", "out/checkpoint-5", "--preview")
    assert "out/checkpoint-5 is not a folder. Check the path" in told.stderr
    assert "Of an id on the hub, write out/checkpoint-5@main." in told.stderr
    assert cli("import", "./other/checkpoint-5", "--preview").exit_code == 2
    assert lab.asked == []  # a path is nobody else's business
