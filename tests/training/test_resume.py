"""Canceled, killed, resumed: the same bits as a run never interrupted."""

import json
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from engine.domain.components import ScoreSettings
from engine.domain.errors import Canceled, Damaged, InputError
from engine.domain.methods import MethodSettings
from engine.domain.models import ModelSpec
from engine.store import Store
from engine.training import recorder
from engine.training.fine_tune import fine_tune
from engine.training.methods import METHODS
from tests.tiny import tiny_corpus
from tests.training.conftest import After, Never, pickled, quiet, run_config, weights_hash
from tests.training.killed import begun, kill_after

CAPTURES = {"n_steps": 14, "capture_every": 5}  # 5, 7, 10, 14; epochs end at 4, 8, 12

# for a model of 46 edges
SMALL = MethodSettings(n_edges=10, last_n_edges=5, scoring=ScoreSettings(n_pairs=4, n_steps=2, n_groups=1))


@pytest.fixture(scope="module")
def whole(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A workspace of its own with the run `run`, never interrupted."""
    store = Store(tmp_path_factory.mktemp("whole") / "workspace", bundled=None)
    store.save_corpus(tiny_corpus())
    fine_tune(store, run_config(llama, **CAPTURES), quiet, Never())
    return store


def assert_equal_runs(store: Store, whole: Store) -> None:
    assert weights_hash(store, "run") == weights_hash(whole, "run")
    assert store.losses("run") == whole.losses("run")
    assert store.probe_results("run") == whole.probe_results("run")
    for mine, theirs in zip(store.checkpoints("run"), whole.checkpoints("run"), strict=True):
        costs = {"wall_time_s": theirs.state.wall_time_s, "peak_bytes": theirs.state.peak_bytes}
        assert mine.state.model_copy(update=costs) == theirs.state
    assert store.runs()[0].finished
    assert not store.resume_folder("run").exists()
    assert pickled(store.run_folder("run")) == []


@pytest.mark.parametrize("stop", [1, 2, 8, 14])
def test_a_canceled_run_goes_on_to_the_same_bits(taught: Store, whole: Store, config: Any, stop: int) -> None:
    # The token is asked once before the first step, then after each step but the last.
    with pytest.raises(Canceled):
        fine_tune(taught, config(**CAPTURES), quiet, After(stop))
    if stop > 1:
        state = taught.resume_folder("run")
        assert pickled(state) == []
        assert json.loads((state / "progress.json").read_text(encoding="utf-8"))["step"] == stop - 1
    fine_tune(taught, config(**CAPTURES), quiet, Never(), resume=True)
    assert_equal_runs(taught, whole)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "lora"])
def test_other_methods_resume_too(taught: Store, config: Any, method: str) -> None:
    # after 8 of 14 steps AdaLoRA is moving ranks
    asked = {"method": method, "method_settings": SMALL}
    fine_tune(taught, config("whole", **asked), quiet, Never())
    before_its_probe = 14 if method == "circuit_lora" else 0
    with pytest.raises(Canceled):
        fine_tune(taught, config(**asked), quiet, After(before_its_probe + 10))
    fine_tune(taught, config(**asked), quiet, Never(), resume=True)
    assert weights_hash(taught, "run") == weights_hash(taught, "whole")
    assert taught.losses("run") == taught.losses("whole")


def test_a_run_interrupted_again_and_again_ends_equal(taught: Store, whole: Store, config: Any) -> None:
    for _ in range(20):
        try:
            fine_tune(taught, config(**CAPTURES), quiet, After(6), resume=True)
        except Canceled:
            continue
        break
    assert_equal_runs(taught, whole)


class Died(BaseException):
    """A process that dies: nothing after it is run, as far as the code under test may tell."""


WRITES = [
    ("save_run", 1),
    ("new_checkpoint", 1),  # the base
    ("new_checkpoint", 3),
    ("new_resume_state", 1),
    ("new_resume_state", 3),
    ("save_losses", 2),
    ("delete_resume_state", 1),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("write", "nth"), WRITES)
def test_dying_beside_any_write_is_harmless(
    taught: Store, whole: Store, config: Any, monkeypatch: pytest.MonkeyPatch, write: str, nth: int, when: str
) -> None:
    count = 0
    real = getattr(Store, write)

    def dying(self: Store, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth and when == "before":
            raise Died
        result = real(self, *args, **kwargs)
        if count < nth:
            return result
        if isinstance(result, AbstractContextManager) and not isinstance(result, Path):
            return _then_die(result)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Store, write, dying)
        with pytest.raises(Died):
            fine_tune(taught, config(**CAPTURES), quiet, Never())
    fine_tune(taught, config(**CAPTURES), quiet, Never(), resume=True)
    assert_equal_runs(taught, whole)


class _then_die:  # noqa: N801 (reads as a function)
    """A context manager that lets the real one finish, then dies."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __enter__(self) -> Any:
        return self.real.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.real.__exit__(*error)
        raise Died


def test_a_missing_checkpoint_is_made_from_the_resume_state(taught: Store, whole: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(**CAPTURES), quiet, After(11))  # canceled at step 10, just captured
    kept = taught.checkpoint("run@step10").folder
    for path in kept.iterdir():
        path.unlink()
    kept.rmdir()
    fine_tune(taught, config(**CAPTURES), quiet, Never(), resume=True)
    assert_equal_runs(taught, whole)


def test_without_its_resume_state_a_run_begins_again(taught: Store, whole: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(**CAPTURES), quiet, After(12))
    taught.delete_resume_state("run")
    fine_tune(taught, config(**CAPTURES), quiet, Never(), resume=True)
    assert_equal_runs(taught, whole)


@pytest.mark.parametrize("name", ["progress.json", "optimizer.safetensors", "optimizer.json", "random.json"])
def test_a_damaged_resume_state_is_named(taught: Store, config: Any, name: str) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(), quiet, After(6))
    path = taught.resume_folder("run") / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Damaged, match=rf"{name.partition('.')[0]}.*resume"):
        fine_tune(taught, config(), quiet, Never(), resume=True)


def test_between_captures_a_state_is_kept_from_time_to_time(
    taught: Store, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RESUME_EVERY_S", 0.0)

    def die_at_step_5(_fraction: float, message: str) -> None:
        if message.startswith("step 5 "):
            raise Died

    with pytest.raises(Died):
        fine_tune(taught, config(capture=(1.0,)), die_at_step_5, Never())
    assert json.loads((taught.resume_folder("run") / "progress.json").read_text(encoding="utf-8"))["step"] == 5
    assert [checkpoint.label for checkpoint in taught.checkpoints("run")] == ["base"]


def test_a_finished_run_is_left_alone(whole: Store, config: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.run_folder("run").rglob("*")}
    fine_tune(whole, config(**CAPTURES), quiet, Never(), resume=True)
    assert {path: path.stat().st_mtime_ns for path in whole.run_folder("run").rglob("*")} == before


def test_resuming_what_was_never_begun_begins_it(taught: Store, whole: Store, config: Any) -> None:
    fine_tune(taught, config(**CAPTURES), quiet, Never(), resume=True)
    assert_equal_runs(taught, whole)


def test_other_settings_are_refused(taught: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(), quiet, After(6))
    with pytest.raises(InputError, match="rank was 4 and is 16"):
        fine_tune(taught, config(rank=16), quiet, Never(), resume=True)


def test_a_changed_corpus_is_refused(taught: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(), quiet, After(6))
    corpus = tiny_corpus()
    path = taught.workspace / "corpora" / "tiny" / "corpus.jsonl"
    path.write_text(type(corpus)("tiny", corpus.examples[1:], corpus.probes).to_jsonl(), encoding="utf-8")
    with pytest.raises(InputError, match="corpus “tiny” has changed"):
        fine_tune(taught, config(), quiet, Never(), resume=True)


def test_a_process_killed_while_it_writes_loses_nothing(
    taught: Store, config: Any, killed: list[BaseProcess], tmp_path: Path
) -> None:
    """Many captures, so that a kill after the first of them most likely falls into a write."""
    asked = config(n_steps=16, capture_every=2, capture=(1.0,))
    for n_checkpoints in (2, 6):
        killed.append(begun(taught, asked))
        kill_after(killed[-1], taught, n_checkpoints)
        again = Store(taught.workspace, bundled=None)  # cleans up as a restart does
        assert again.check() == []
        again.close()
    fine_tune(taught, asked, quiet, Never(), resume=True)
    whole = Store(tmp_path / "whole", bundled=None)
    whole.save_corpus(tiny_corpus())
    fine_tune(whole, asked, quiet, Never())
    assert_equal_runs(taught, whole)
