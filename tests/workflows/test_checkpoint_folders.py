"""Which checkpoints lie where a person points to: layouts of public tools, by names and small files alone."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.domain.errors import Damaged, InputError
from engine.domain.hub import HubId
from engine.domain.imports import ImportPreview
from engine.workflows import checkpoint_folders
from engine.workflows.checkpoint_folders import preview
from engine.workflows.trainer_logs import read_log


def adapter(folder: Path, weights: str = "", *, step: int | None = None, **state: Any) -> Path:
    """`weights`: whatever tells one from another."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    (folder / "adapter_model.safetensors").write_text(weights or str(folder), encoding="utf-8")
    if step is not None:
        trainer(folder, global_step=step, **state)
    return folder


def trainer(folder: Path, **state: Any) -> None:
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


def taken(found: ImportPreview) -> dict[str, int | None]:
    return {one.path.name: one.step for one in found.taken}


def test_a_trainers_output_with_the_adapter_at_its_root(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        adapter(tmp_path / f"checkpoint-{step}", str(step), step=step)
    adapter(tmp_path, "10", step=10)
    found = preview([tmp_path])
    assert taken(found) == {"checkpoint-2": 2, "checkpoint-4": 4, "checkpoint-10": 10}
    (root,) = (one for one in found.checkpoints if not one.taken)
    assert root.same_as == tmp_path / "checkpoint-10"
    assert found.refused == ()


def test_equal_weights_of_other_steps_are_other_checkpoints(tmp_path: Path) -> None:
    """A training that did not move any more: no weights are read to tell them apart."""
    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}", "stuck", step=step)
    assert taken(preview([tmp_path])) == {"checkpoint-2": 2, "checkpoint-4": 4}
    adapter(tmp_path, "stuck")
    found = preview([tmp_path])
    assert taken(found) == {"checkpoint-2": 2, "checkpoint-4": 4}
    assert found.refused == ()


def test_a_root_of_its_own_comes_last_where_the_log_tells_the_end(tmp_path: Path) -> None:
    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}", str(step), step=step, max_steps=5)
    adapter(tmp_path, "other")
    assert taken(preview([tmp_path])) == {"checkpoint-2": 2, "checkpoint-4": 4, tmp_path.name: 5}


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500), ("epoch_3", 3), ("epoch-3", 3), ("global_step_100", 100), ("step_600", 600),
        ("600", 600), ("step20000-tokens84B", 20000), ("final_adapter", 1), ("llama-3-8b-lora", 1), ("best", 1),
        ("epoch=1-step=500", 500), ("epoch_2_step_1500", 1500), ("ckpt-2k", 2000), ("step2kb", 2), ("epoch_1.5", 1),
        ("epoch_0", 1),
    ],
)  # fmt: skip
def test_single_folders_of_any_name(name: str, step: int, tmp_path: Path) -> None:
    assert taken(preview([adapter(tmp_path / name)])) == {name: step}


def test_the_state_says_the_step_before_the_name_does(tmp_path: Path) -> None:
    assert taken(preview([adapter(tmp_path / "checkpoint-1", step=70)])) == {"checkpoint-1": 70}


def test_an_adapter_with_a_name_of_its_own_has_its_state_one_level_up(tmp_path: Path) -> None:
    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}" / "style", str(step))
        trainer(tmp_path / f"checkpoint-{step}", global_step=step)
    found = preview([tmp_path])
    assert [(one.path.name, one.step) for one in found.taken] == [("style", 2), ("style", 4)]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        path = adapter(tmp_path / name / "checkpoint-2") / name
        path.unlink()
        os.mkfifo(path)
        (one,) = preview([tmp_path / name]).refused
        assert one.why == f"{name} is no file, but a folder or a pipe: put the file there"
    os.mkfifo(adapter(tmp_path / "state" / "checkpoint-2") / "trainer_state.json")
    with pytest.raises(Damaged, match="a folder or a pipe"):
        preview([tmp_path / "state"])


def test_one_adapter_that_is_named_alone_has_the_step_of_the_folder_around_it(tmp_path: Path) -> None:
    for step in (2, 4):  # as one of two in a checkpoint has to be named
        for name in ("style", "tone"):
            adapter(tmp_path / f"checkpoint-{step}" / name, f"{name} {step}")
    trainer(tmp_path / "checkpoint-4", global_step=40)
    found = preview([tmp_path / f"checkpoint-{step}" / "style" for step in (2, 4)])
    assert [one.step for one in found.taken] == [2, 40]
    deep = [adapter(tmp_path / f"global_step_{step}" / "actor" / "lora_adapter", str(step)) for step in (10, 20)]
    assert [one.step for one in preview(deep).taken] == [10, 20]
    (dated,) = preview([adapter(tmp_path / "20240501" / "lora", "of a day")]).taken
    assert (dated.step, dated.why) == (1, "its step is not told")


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        # verl
        (["global_step_10/actor/lora_adapter", "global_step_20/actor/lora_adapter"], [10, 20]),
        (["run-1/checkpoint-500/adapter", "run-1/checkpoint-1000/adapter"], [500, 1000]),
        (["checkpoints/step_500/hf", "checkpoints/step_1000/hf"], [500, 1000]),
        # LLaMA-Factory, from saves/
        (["llama3-8b/lora/sft/checkpoint-500", "llama3-8b/lora/sft/checkpoint-1000"], [500, 1000]),
        # ms-swift
        (["Qwen2.5-7B/v0-20240501-101010/checkpoint-100", "Qwen2.5-7B/v0-20240501-101010/checkpoint-200"], [100, 200]),
        # Lightning
        (["version_0/checkpoints/epoch=0-step=10", "version_0/checkpoints/epoch=0-step=20"], [10, 20]),
        # torchtune
        (["epoch_0", "epoch_1"], [1, 2]),
        (["epoch_0/actor/lora_adapter", "epoch_1/actor/lora_adapter"], [1, 2]),
    ],
)
def test_a_series_is_found_from_the_folder_of_the_output(names: list[str], steps: list[int], tmp_path: Path) -> None:
    for name in names:
        adapter(tmp_path / name)
        (tmp_path / name).parent.joinpath("logs").mkdir(exist_ok=True)
    found = preview([tmp_path])
    assert [(str(one.path.relative_to(tmp_path)), one.step) for one in found.taken] == list(
        zip(names, steps, strict=True)
    )
    assert found.refused == found.left_out == ()


def test_an_end_that_lies_higher_does_not_hide_the_series(tmp_path: Path) -> None:
    """Neither the root of a LLaMA-Factory output, nor a folder of the end beside that of the checkpoints."""
    adapter(tmp_path / "lora" / "sft", "the end")
    for step in (2, 4):
        adapter(tmp_path / "lora" / "sft" / f"checkpoint-{step}", str(step), step=step, max_steps=5)
    assert taken(preview([tmp_path])) == {"checkpoint-2": 2, "checkpoint-4": 4, "sft": 5}
    for step in (10, 20):
        adapter(tmp_path / "other" / "run" / "checkpoints" / f"step-{step}" / "adapter", f"step {step}")
    adapter(tmp_path / "other" / "run" / "final" / "adapter", "last")
    found = preview([tmp_path / "other"])
    assert [one.step for one in found.taken] == [10, 20]
    assert [one.path.parent.name for one in found.left_out] == ["final"]


def test_a_folder_of_very_many_is_not_searched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_folders, "_MOST_LOOKED_INTO", 3)
    for name in "abcd":
        (tmp_path / "data" / name).mkdir(parents=True)
    adapter(tmp_path / "z" / "checkpoint-2")
    adapter(tmp_path / "data" / "d" / "deep" / "checkpoint-4")
    assert taken(preview([tmp_path])) == {"checkpoint-2": 2}


def test_two_adapters_in_one_checkpoint_are_not_guessed_at(tmp_path: Path) -> None:
    for name in ("one", "two"):
        adapter(tmp_path / "checkpoint-2" / name, name)
    (tmp_path / "checkpoint-2" / "merged").mkdir()
    (tmp_path / "checkpoint-2" / "merged" / "model.safetensors").touch()
    adapter(tmp_path / "checkpoint-4", "4")
    (one,) = preview([tmp_path]).refused  # it would be missing from the series
    assert one.why == "it holds a full model and 2 adapters (merged, one, two): name the folder of one"


def test_a_second_adapter_inside_a_checkpoint_is_not_another_checkpoint(tmp_path: Path) -> None:
    adapter(tmp_path / "checkpoint-2", "policy", step=2)
    adapter(tmp_path / "checkpoint-2" / "ref", "reference")
    assert taken(preview([tmp_path / "checkpoint-2"])) == {"checkpoint-2": 2}
    assert taken(preview([tmp_path])) == {"checkpoint-2": 2}


def test_steps_are_set_in_the_order_of_the_preview(tmp_path: Path) -> None:
    folders = [adapter(tmp_path / name, name) for name in ("a", "b")]
    assert {one.step for one in preview(folders).checkpoints} == {None}
    assert taken(preview(folders, steps=[100, 250])) == {"a": 100, "b": 250}
    for steps in ([1], [2, 1], [0, 1]):
        with pytest.raises(InputError, match=r"(?i)steps?\b"):
            preview(folders, steps=steps)


def test_links_into_the_blobs_of_the_hubs_cache_are_followed_and_others_are_not(tmp_path: Path) -> None:
    adapter(tmp_path / "models--o--n" / "blobs")
    snapshot = tmp_path / "models--o--n" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (snapshot / name).symlink_to(Path("../../blobs") / name)
    assert taken(preview([snapshot])) == {"abc": 1}
    outside = tmp_path / "elsewhere"
    outside.write_text("x", encoding="utf-8")
    (snapshot / "adapter_model.safetensors").unlink()
    (snapshot / "adapter_model.safetensors").symlink_to(outside)
    (one,) = preview([snapshot]).refused
    assert "link to a file outside" in one.why


def test_pickles_are_named_and_never_read(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "checkpoint-2")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "never read" in preview([tmp_path]).refused[0].why


def test_a_log_as_long_and_broken_trainings_leave_it() -> None:
    rows: list[Any] = [{"step": step, "loss": 3.0 - step, "learning_rate": 0.1} for step in (1, 2)]
    rows += [{"step": 2.0, "loss": 9.0}, {"step": 3, "loss": math.inf, "learning_rate": math.nan}]
    rows += [{"loss": 1.0}, "odd", None, 7, {"step": 3, "eval_loss": 1.5}, {"step": 4, "loss": "nan"}]
    log, told = read_log({"log_history": rows})
    assert log.step == (1, 2, 3, 4)
    assert log.loss[:2] == (2.0, 9.0)  # of a step logged twice the later one
    assert [math.isnan(loss) for loss in log.loss] == [False, False, True, True]
    assert log.learning_rate == (0.1, 0.0, 0.0, 0.0)
    assert told == (
        "2 logged losses of no finite number: a gap on the curve. "
        "1 step logged more than once: the last of them counts."
    )
    for history in (None, 6, "text", {}):
        assert read_log({"log_history": history})[0].step == ()


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("nowhere", "is not a folder. Check the path"),
        ("model.gguf", "is a GGUF file, no checkpoint: add it as a model"),
        ("config.json", "is a file. Name the folder that it lies in"),
    ],
)
def test_what_is_no_folder_is_told_with_the_way_out(named: str, told: str, tmp_path: Path) -> None:
    for name in ("model.gguf", "config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=told):
        preview([tmp_path / named])


def test_a_folder_that_may_not_be_read_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()

    def refused(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(InputError, match=r"out cannot be read .Permission denied.*right to read the whole folder"):
        preview([tmp_path / "out"])


def test_ids_of_the_hub_and_of_its_cache() -> None:
    for text, parts in {
        "me/lora": ("me/lora", "", ""), "me/lora@step1000": ("me/lora", "", "step1000"),
        "me/lora/checkpoint-2@refs/pr/1": ("me/lora", "checkpoint-2", "refs/pr/1"),
    }.items():  # fmt: skip
        found = HubId.parse(text)
        assert found is not None
        assert (found.name, found.folder, found.revision) == parts
        assert str(found) == text
    for text in (
        "lora",
        "./me/lora",
        "../me",
        "me/../lora",
        "/me/lora",
        "~/me/lora",
        "me//lora",
        "me/lora@",
        "a b/c",
        "",
    ):
        assert HubId.parse(text) is None
    cached = Path("/home/me/.cache/huggingface/hub/models--me--my--lora/snapshots/abc/checkpoint-2")
    assert str(HubId.of_cached(cached)) == "me/my--lora/checkpoint-2@abc"
    assert str(HubId.of_cached(cached.parent)) == "me/my--lora@abc"
    assert HubId.of_cached(Path("/out/snapshots/2")) is None
