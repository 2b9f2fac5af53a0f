"""`check` finds each kind of damage, names the file, and finds nothing in a whole workspace."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.store import Store
from tests.store.artefacts import add_comparison, corpus, fill, key

NO_PROCESS = 2**22 + 1


def test_a_whole_workspace_has_no_problems(store: Store) -> None:
    assert store.check() == []
    fill(store)
    assert store.check() == []
    assert store.check() == []  # looking changes nothing


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def to_array(path: Path) -> None:
    path.write_text("[]", encoding="utf-8")


CHECKPOINT = "runs/one/checkpoints/step-000002"
FILES = [
    "corpora/words/corpus.jsonl", "runs/one/run.json", "runs/one/losses.json", f"{CHECKPOINT}/state.json",
    f"{CHECKPOINT}/probes.json", f"{CHECKPOINT}/adapter_model.safetensors", "transcoders/shared/set.json",
    "transcoders/shared/layer_0.safetensors", f"graphs/{key().hash}.safetensors", "comparisons/*.json",
]  # fmt: skip


@pytest.mark.parametrize("damage", [truncated, emptied, to_array])
@pytest.mark.parametrize("pattern", FILES)
def test_every_damaged_file_is_named(store: Store, pattern: str, damage: Callable[[Path], None]) -> None:
    fill(store)
    [path] = store.workspace.glob(pattern)
    damage(path)
    if pattern.endswith("corpus.jsonl") and damage is emptied:  # a whole corpus without lines, but not the run's own
        path = store.workspace / "runs" / "one" / "run.json"
    damaged = [problem for problem in store.check() if problem.kind == "damaged"]
    assert path in [problem.path for problem in damaged]


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_checkpoint_without_its_adapter(store: Store, name: str) -> None:
    fill(store)
    path = store.workspace / CHECKPOINT / name
    path.unlink()
    assert [problem.path for problem in store.check()] == [path]


@pytest.mark.parametrize("name", ["corpora/words/corpus.jsonl", "runs/one/run.json", f"{CHECKPOINT}/state.json"])
def test_a_folder_without_its_main_file(store: Store, name: str) -> None:
    fill(store)
    (store.workspace / name).unlink()
    found = {problem.path: problem.reason for problem in store.check()}
    assert found[(store.workspace / name).parent] == f"it has no {Path(name).name}"


def test_a_missing_layer(store: Store) -> None:
    fill(store)
    path = store.workspace / "transcoders" / "shared" / "layer_1.safetensors"
    path.unlink()
    assert [(problem.path, problem.reason) for problem in store.check()] == [(path, "the file is missing")]


def test_a_run_whose_corpus_was_changed_or_lost(store: Store) -> None:
    fill(store)
    path = store.workspace / "corpora" / "words" / "corpus.jsonl"
    path.write_text(corpus(n_examples=1).to_jsonl(), encoding="utf-8")
    store.rebuild()
    assert ["has changed" in problem.reason for problem in store.check()] == [True]
    path.unlink()
    path.with_name("spec.json").unlink(missing_ok=True)
    path.parent.rmdir()
    store.rebuild()
    assert ["is missing" in problem.reason for problem in store.check()] == [True]


def test_odd_folders_and_journals(store: Store) -> None:
    fill(store)
    odd = store.workspace / "runs" / "one" / "checkpoints" / "checkpoint-50"
    odd.mkdir()
    journal = store.workspace / "jobs" / "x.json"
    journal.parent.mkdir()
    journal.write_text("{", encoding="utf-8")
    assert {problem.path for problem in store.check()} == {odd, journal}


def test_leftovers_are_told_and_the_next_opening_removes_them(store: Store) -> None:
    fill(store)
    left = store.workspace / "runs" / "one" / "checkpoints" / f".tmp-{NO_PROCESS}-0123abcd-step-000003"
    left.mkdir()
    (left / "half").touch()
    [problem] = store.check()
    assert (problem.path, problem.kind) == (left, "leftover")
    assert Store(store.workspace, bundled=None).check() == []
    assert not left.exists()


def test_the_demo_is_checked_too(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    fill(demo)
    base = tmp_path / "demo" / "base" / "model.safetensors"
    base.parent.mkdir()
    base.write_bytes(b"no weights")
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    assert [problem.path for problem in store.check()] == [base]


def test_a_comparison_of_the_workspace_may_use_a_graph_of_the_demo(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    made = add_comparison(demo)
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    store.save_comparison(made)
    assert store.check() == []
