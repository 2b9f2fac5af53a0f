"""What lies beside a series of checkpoints and is no part of it: left out and told, never in the way."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.domain.errors import InputError
from engine.domain.imports import ImportPreview
from engine.workflows.checkpoint_folders import preview
from engine.workflows.checkpoint_order import several_runs


def adapter(folder: Path, weights: str, **state: Any) -> Path:
    """`weights`: whatever tells one from another. `state`: Trainer's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    (folder / "adapter_model.safetensors").write_text(weights, encoding="utf-8")
    if state:
        (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def full(folder: Path, weights: str = "all") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_text(weights, encoding="utf-8")
    return folder


def series(out: Path, *steps: int) -> Path:
    """A trainer's output that was trained to its end."""
    for step in steps:
        adapter(out / f"checkpoint-{step}", str(step), global_step=step, max_steps=steps[-1])
    return out


def steps_of(found: ImportPreview) -> list[tuple[str, int | None]]:
    return [(one.path.name, one.step) for one in found.taken]


SERIES_STEPS = (2, 4)
SERIES = [(f"checkpoint-{step}", step) for step in SERIES_STEPS]


def test_a_merged_model_beside_adapters_is_left_out(tmp_path: Path) -> None:
    full(series(tmp_path / "out", 2, 4) / "merged")
    found = preview([tmp_path / "out"])
    assert steps_of(found) == SERIES
    assert found.refused == ()
    assert not found.of_same_kind
    (one,) = found.left_out
    assert (one.path.name, one.kind, one.usable, one.stored) == ("merged", "full", True, "")
    assert one.why == "left out: it is a full model, while the others are adapters, and its name tells no step"
    (alone,) = preview([one.path]).taken
    assert (alone.step, alone.kind) == (1, "full")


def test_merged_models_with_steps_are_left_out_too(tmp_path: Path) -> None:
    """Else a LoRA run would end in a model trained whole."""
    full(series(tmp_path, 2, 4) / "merged_step_6")
    (one,) = preview([tmp_path]).left_out
    assert one.why == "left out: it is a full model, while the others are adapters"
    assert steps_of(preview([tmp_path])) == SERIES


def test_an_adapter_beside_full_models_is_left_out(tmp_path: Path) -> None:
    for step in (2, 4):
        full(tmp_path / f"checkpoint-{step}", str(step))
    adapter(tmp_path / "extracted_step_5", "5")
    found = preview([tmp_path])
    assert steps_of(found) == SERIES
    assert [one.why for one in found.left_out] == ["left out: it is an adapter, while the others are full models"]


@pytest.mark.parametrize("name", ["final", "best", "."])
def test_a_final_adapter_that_is_the_last_checkpoint_is_the_same(name: str, tmp_path: Path) -> None:
    adapter(series(tmp_path / "out", 2, 4) / name, "4")
    found = preview([tmp_path / "out"])
    assert steps_of(found) == SERIES
    assert (found.refused, found.left_out) == ((), ())
    assert [one.same_as for one in found.checkpoints if one.same_as] == [tmp_path / "out" / "checkpoint-4"]


@pytest.mark.parametrize("name", ["final", "best", "."])
def test_a_final_adapter_that_nothing_orders_is_left_out(name: str, tmp_path: Path) -> None:
    folder = adapter(series(tmp_path / "out", 2, 4) / name, "other")
    found = preview([tmp_path / "out"])
    assert steps_of(found) == SERIES
    assert found.refused == ()
    assert [(one.path, one.why, one.usable) for one in found.left_out] == [
        (folder, "left out: its step is not told", True)
    ]


def test_the_best_one_at_the_root_is_known_whatever_step_its_state_tells(tmp_path: Path) -> None:
    """As Trainer leaves it that loads the best model at the end and saves its state."""
    adapter(series(tmp_path, 2, 4), "2", global_step=4)
    found = preview([tmp_path])
    assert steps_of(found) == SERIES
    assert found.checkpoints[-1].same_as == tmp_path / "checkpoint-2"


def test_another_one_of_a_step_that_is_there_gives_way_to_the_one_that_is_named_by_it(tmp_path: Path) -> None:
    adapter(series(tmp_path, 2, 4) / "best", "rounded", global_step=4)  # before checkpoint-4 by its name
    found = preview([tmp_path])
    assert steps_of(found) == SERIES
    assert [one.why for one in found.left_out] == [f"left out: it is of step 4 too, as {tmp_path / 'checkpoint-4'}"]
    adapter(tmp_path / "epoch_4", "another")  # both names tell it
    (one,) = preview([tmp_path]).refused
    assert one.needs_step


def test_what_can_be_taken_nowhere_is_in_the_way_only_as_a_part_of_the_series(tmp_path: Path) -> None:
    (series(tmp_path, 2, 4) / "quantised").mkdir()
    (tmp_path / "quantised" / "pytorch_model.bin").touch()
    found = preview([tmp_path])
    assert found.refused == ()
    assert [(one.path.name, one.usable) for one in found.left_out] == [("quantised", False)]
    assert "never read" in found.left_out[0].why
    (tmp_path / "checkpoint-4" / "adapter_model.safetensors").unlink()
    assert [one.path.name for one in preview([tmp_path]).refused] == ["checkpoint-4"]


def test_what_a_person_names_is_not_left_out_in_silence(tmp_path: Path) -> None:
    merged = full(series(tmp_path / "out", 2, 4) / "merged")
    for folders in ([tmp_path / "out", merged], [tmp_path / "out" / "checkpoint-4", merged, merged]):
        found = preview(folders)
        (one,) = found.refused
        assert (one.path, one.needs_step) == (merged, True)
        assert found.left_out == ()


def test_steps_are_of_the_series_or_of_all(tmp_path: Path) -> None:
    adapter(series(tmp_path, 2, 4) / "final", "other")
    assert steps_of(preview([tmp_path], steps=[10, 20])) == [("checkpoint-2", 10), ("checkpoint-4", 20)]
    assert preview([tmp_path]).of_same_kind
    found = preview([tmp_path], steps=[10, 20, 30])
    assert steps_of(found) == [("checkpoint-2", 10), ("checkpoint-4", 20), ("final", 30)]
    assert found.left_out == ()
    with pytest.raises(InputError, match="1 step was given for 2 checkpoints"):
        preview([tmp_path], steps=[10])


def test_the_base_beside_its_checkpoints_is_told_to_be_that(tmp_path: Path) -> None:
    base = full(tmp_path / "SmolLM2")
    for step in SERIES_STEPS:
        folder = adapter(tmp_path / f"checkpoint-{step}", str(step), global_step=step)
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    (one,) = preview([tmp_path]).left_out
    assert (one.why, one.usable) == ("left out: the others say that they were trained from it", False)


def test_a_project_folder_leads_to_the_output_in_it(tmp_path: Path) -> None:
    full(tmp_path / "SmolLM2", "before")
    full(series(tmp_path / "out", 2, 4) / "merged")
    adapter(tmp_path / "out", "4")
    found = preview([tmp_path])
    assert steps_of(found) == SERIES
    assert sorted(one.path.name for one in found.left_out) == ["SmolLM2", "merged"]
    assert found.refused == ()
    for step in SERIES_STEPS:  # which of both is not guessed at
        adapter(tmp_path / "second" / f"checkpoint-{step}", f"other {step}", global_step=step)
    assert [one.path.parent.name for one in preview([tmp_path]).refused] == ["second", "second"]


def test_epochs_counted_from_0_are_counted_from_1(tmp_path: Path) -> None:
    for epoch in range(3):
        adapter(tmp_path / f"epoch_{epoch}", str(epoch))
    assert steps_of(preview([tmp_path])) == [("epoch_0", 1), ("epoch_1", 2), ("epoch_2", 3)]
    assert steps_of(preview([tmp_path / "epoch_1", tmp_path / "epoch_2"])) == [("epoch_1", 1), ("epoch_2", 2)]
    for epoch in range(3):  # Trainer's state counts steps
        adapter(tmp_path / f"epoch_{epoch}", str(epoch), global_step=10 * epoch + 10)
    assert steps_of(preview([tmp_path])) == [("epoch_0", 10), ("epoch_1", 20), ("epoch_2", 30)]


def test_step_0_comes_first_and_is_no_checkpoint(tmp_path: Path) -> None:
    for step in (0, 500):
        adapter(tmp_path / f"checkpoint-{step}", str(step))
    (zero,) = preview([tmp_path]).left_out
    assert (zero.path.name, zero.why) == ("checkpoint-0", "left out: it is step 0, where training began")
    assert steps_of(preview([tmp_path])) == [("checkpoint-500", 500)]
    assert steps_of(preview([tmp_path], steps=[1, 501])) == [("checkpoint-0", 1), ("checkpoint-500", 501)]
    (refused,) = preview([tmp_path / "checkpoint-0", tmp_path / "checkpoint-500"]).refused
    assert refused.needs_step
    assert "leave it out" in refused.why


def test_what_steps_are_set_for_is_in_their_order(tmp_path: Path) -> None:
    names = ["epoch_0.5", "epoch_2.0", "epoch_10.0"]
    for name in names:
        adapter(tmp_path / name, name)
    found = preview([tmp_path])
    assert [one.path.name for one in found.checkpoints] == names
    assert steps_of(preview([tmp_path], steps=[5, 20, 100])) == list(zip(names, (5, 20, 100), strict=True))
    twice = [adapter(tmp_path / "b" / f"step_{step}", f"b {step}") for step in (1, 2)]
    twice.append(adapter(tmp_path / "c" / "step_1", "c"))
    shown = [one.path for one in preview(twice).checkpoints]  # also those that are not taken without steps
    assert shown == [one.path for one in preview(twice, steps=[1, 2, 3]).taken]


def runs_in(folder: Path) -> dict[str, list[int | None]]:
    return {
        place.name: [one.step for one in ones] for place, ones in several_runs(preview([folder]).checkpoints).items()
    }


def seed(out: Path, *steps: int) -> None:
    """A run whose weights are its own."""
    for step in steps:
        adapter(out / f"checkpoint-{step}", f"{out.name} {step}", global_step=step)


def test_seeds_side_by_side_look_like_several_runs(tmp_path: Path) -> None:
    seed(tmp_path / "run-1", 2, 4)
    assert runs_in(tmp_path) == {}
    seed(tmp_path / "run-2", 2, 4)
    adapter(tmp_path / "run-2", "the last", global_step=5)
    assert runs_in(tmp_path) == {"run-1": [2, 4], "run-2": [2, 4, 5]}
    assert steps_of(preview([tmp_path / "run-1"])) == SERIES


def test_seeds_of_one_checkpoint_each_look_like_several_runs(tmp_path: Path) -> None:
    for name in ("1", "2"):  # a bare number may be a seed
        adapter(tmp_path / name / "final", name, global_step=9)
    assert runs_in(tmp_path) == {"1": [9], "2": [9]}


def test_series_of_other_steps_may_be_several_runs_or_one(tmp_path: Path) -> None:
    seed(tmp_path / "run-1", 2, 4)
    adapter(tmp_path / "more" / "checkpoint-6", "6", global_step=6)
    assert runs_in(tmp_path) == {}  # one that went on elsewhere
    adapter(tmp_path / "more" / "checkpoint-8", "8", global_step=8)
    assert runs_in(tmp_path) == {"more": [6, 8], "run-1": [2, 4]}
    assert preview([tmp_path]).refused == ()


def test_adapters_in_folders_of_their_steps_are_one_run(tmp_path: Path) -> None:
    for step in (10, 20):
        adapter(tmp_path / f"global_step_{step}" / "actor" / "lora_adapter", str(step))
    assert steps_of(preview([tmp_path])) == [("lora_adapter", 10), ("lora_adapter", 20)]
    assert runs_in(tmp_path) == {}
