"""`import`: what is left out beside a series, and how to take it in, by the options of the command."""

import json
from pathlib import Path

import pytest

from engine.domain.jobs import ImportCheckpoints
from engine.jobs.journal import Journal
from engine.store import Store
from tests.cli.conftest import Cli


def adapter(folder: Path, *, base: str = "", step: int | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_text(folder.name, encoding="utf-8")
    if step is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    return folder


def test_what_is_left_out_is_told_with_the_way_to_take_it_in(cli: Cli, tmp_path: Path) -> None:
    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}", step=step)
    adapter(tmp_path / "best")
    told = cli("import", tmp_path, "--preview")
    assert told.exit_code == 0, told.output
    assert (
        "What is left out can be imported alone, by its own folder, or with the rest by steps for all 3" in told.stdout
    )
    assert "--steps" in told.stdout
    told = cli("import", tmp_path, "--preview", "--steps", "2,4,5")
    assert "left out" not in told.stdout
    (tmp_path / "best" / "adapter_config.json").unlink()
    (tmp_path / "best" / "model.safetensors").touch()
    told = cli("import", tmp_path, "--preview")
    assert "What is left out can" not in told.stdout  # it has no config.json, so it cannot be taken in at all


def test_what_was_asked_for_and_has_no_step_is_refused_with_the_option(cli: Cli, tmp_path: Path) -> None:
    folders = [adapter(tmp_path / name) for name in ("a", "b")]
    told = cli("import", *folders, "--name", "mine")
    assert told.exit_code == 2
    assert f"Not taken in: {folders[0]}: its step is not told: give those of all; {folders[1]}: its" in told.stderr
    assert "Give the steps of all, in this order, with --steps N,N,…." in told.stderr


def test_another_base_than_the_one_that_they_say_is_warned_of(cli: Cli, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "checkpoint-2", base="lab/other")
    told = cli("import", folder, "--name", "mine")  # onto the demo, as no model is named
    assert (
        "These checkpoints say that they were trained from lab/other. Put onto demo, they make another" in told.stderr
    )
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "data/demo/base"}', encoding="utf-8")
    told = cli("import", folder, "--name", "mine")
    assert "Put onto demo, as --model names no other base." in told.stderr
    assert "another model" not in told.stderr


def test_what_failed_can_be_tried_again_from_another_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter(tmp_path / "checkpoint-2", step=2)
    (tmp_path / "log.csv").write_text("step,f1\n2,0.5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    told = cli("import", "checkpoint-2", "--name", "mine", "--log", "log.csv")
    assert told.exit_code != 0  # its weights are none
    ((record,),) = [Journal(Store.open()).read_all().values()]
    assert isinstance(record.request, ImportCheckpoints)
    assert record.request.folders == (str(tmp_path / "checkpoint-2"),)
    assert record.request.logs == (str(tmp_path / "log.csv"),)
