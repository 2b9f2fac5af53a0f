"""Runs that decide, canceled, killed and resumed: the same bits, decisions and end."""

import json
from itertools import cycle
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from engine.domain.decisions import DecisionSettings, RunDecisions
from engine.domain.errors import Canceled
from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.training.fine_tune import fine_tune
from tests.tiny import tiny_corpus
from tests.training.conftest import After, Never, quiet, run_config, weights_hash
from tests.training.killed import begun, kill_after
from tests.training.watchers import FakeWatcher

# Captures 0, 3, 6, 9, 12, 15, 18; epochs end at 4, 8, 12. Circuits rest from step 6: quiet at 6 and 9, known at 12.
END, QUIET_FROM = 12, 6
SHARED = {"n_steps": 18, "capture": (1.0,), "capture_every": 3, "decisions": DecisionSettings(patience=2)}
RUNS: dict[str, dict[str, Any]] = {
    "circuit_change": {**SHARED, "curriculum": "circuit_change", "stopping": "circuit_saturation"},
    "under_learned": {**SHARED, "curriculum": "under_learned", "stopping": "circuit_saturation"},
}


@pytest.fixture(scope="module")
def whole(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    """By curriculum a workspace with the run `run`, never interrupted."""
    stores = {}
    for name, changes in RUNS.items():
        store = Store(tmp_path_factory.mktemp(name) / "workspace", bundled=None)
        store.save_corpus(tiny_corpus())
        fine_tune(store, run_config(llama, **changes), quiet, Never(), watcher=FakeWatcher(quiet_from=QUIET_FROM))
        assert store.decisions("run").stopped_at == END
        stores[name] = store
    return stores


def go_on(store: Store, asked: RunConfig, token: Any = None) -> FakeWatcher:
    watcher = FakeWatcher(quiet_from=QUIET_FROM)
    fine_tune(store, asked, quiet, token or Never(), resume=True, watcher=watcher)
    return watcher


def canceled(store: Store, asked: RunConfig, after: int) -> None:
    with pytest.raises(Canceled):
        go_on(store, asked, After(after))


def decided(store: Store) -> RunDecisions:
    return store.decisions("run").model_copy(update={"waited_s": 0.0})


def assert_equal_runs(store: Store, whole: Store) -> None:
    assert weights_hash(store, "run") == weights_hash(whole, "run")
    assert store.losses("run") == whole.losses("run")
    assert store.probe_results("run") == whole.probe_results("run")
    assert decided(store) == decided(whole)
    assert store.runs()[0].finished
    assert not store.resume_folder("run").exists()


@pytest.mark.parametrize(("stop", "curriculum"), [*zip((1, 2, 4, 6, 7, 8, 12), cycle(RUNS), strict=False)])
def test_canceled_at_a_step_it_goes_on_to_the_same_end(
    taught: Store, whole: dict[str, Store], config: Any, stop: int, curriculum: str
) -> None:
    # The token is asked once before the first step, then after each step.
    asked = config(**RUNS[curriculum])
    canceled(taught, asked, stop)
    if stop > 1:
        point = json.loads((taught.resume_folder("run") / "progress.json").read_text(encoding="utf-8"))
        assert point["step"] == stop - 1
        assert taught.decisions("run").stopped_at is None
    watcher = go_on(taught, asked)
    assert_equal_runs(taught, whole[curriculum])
    # the looks that an earlier sitting had kept are not made again
    assert len(watcher.asked) == 5 - max(0, (stop - 1) // 3)


@pytest.mark.parametrize("curriculum", list(RUNS))
def test_interrupted_again_and_again(taught: Store, whole: dict[str, Store], config: Any, curriculum: str) -> None:
    for _ in range(20):
        try:
            go_on(taught, config(**RUNS[curriculum]), After(3))
        except Canceled:
            continue
        break
    assert_equal_runs(taught, whole[curriculum])


def _forget_look(data: dict[str, Any]) -> None:
    del data["looks"][1]


def _forget_looks(data: dict[str, Any]) -> None:
    data["looks"] = []


def _forget_decisions(data: dict[str, Any]) -> None:
    data["decisions"] = []


@pytest.mark.parametrize(
    ("change", "curriculum"),
    [*zip((None, "", "not json", _forget_look, _forget_looks, _forget_decisions), cycle(RUNS), strict=False)],
)
def test_what_is_lost_of_the_decisions_is_made_again(
    taught: Store, whole: dict[str, Store], config: Any, change: Any, curriculum: str
) -> None:
    asked = config(**RUNS[curriculum])
    canceled(taught, asked, 9)  # step 8, in the second epoch; looks of 0 and 3 are kept
    path = taught.run_folder("run") / "decisions.json"
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change, encoding="utf-8")
    else:
        data = json.loads(path.read_text(encoding="utf-8"))
        assert [reading["step"] for reading in data["looks"]] == [0, 3]
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")
    watcher = go_on(taught, asked)
    assert_equal_runs(taught, whole[curriculum])
    again = {_forget_look: [3], _forget_decisions: []}.get(change, [0, 3])
    assert [step for step, _ in watcher.asked] == [*again, 6, 9, 12]


@pytest.mark.parametrize("curriculum", list(RUNS))
def test_without_its_resume_state_it_begins_again(
    taught: Store, whole: dict[str, Store], config: Any, curriculum: str
) -> None:
    asked = config(**RUNS[curriculum])
    canceled(taught, asked, 11)
    taught.delete_resume_state("run")
    watcher = go_on(taught, asked)
    assert_equal_runs(taught, whole[curriculum])
    assert [step for step, _ in watcher.asked] == [3, 6, 9, 12]  # the base is as it was


class Died(BaseException):
    """A process that dies: nothing after it is run, as far as the code under test may tell."""


@pytest.mark.parametrize(
    ("write", "nth", "when"),
    [
        ("save_decisions", 1, "before"),
        ("save_decisions", 2, "after"),
        ("save_decisions", 5, "before"),
        ("save_decisions", 5, "after"),
        ("save_decisions", 6, "before"),
        ("save_losses", 4, "after"),
        ("delete_resume_state", 1, "before"),
        ("delete_resume_state", 1, "after"),
    ],
)
def test_dying_beside_any_write_is_harmless(
    taught: Store,
    whole: dict[str, Store],
    config: Any,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    nth: int,
    when: str,
) -> None:
    """The fifth time that decisions are saved is the stop, the sixth after the last look."""
    count, real, asked = 0, getattr(Store, write), config(**RUNS["circuit_change"])

    def dying(self: Store, *args: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth and when == "before":
            raise Died
        real(self, *args)
        if count == nth:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Store, write, dying)
        with pytest.raises(Died):
            go_on(taught, asked)
    if (write, when) != ("delete_resume_state", "after"):
        assert not taught.runs()[0].finished
    go_on(taught, asked)
    assert_equal_runs(taught, whole["circuit_change"])


def test_a_run_that_died_when_it_had_stopped_is_not_trained_on(taught: Store, config: Any) -> None:
    asked = config(**RUNS["circuit_change"])

    def die_at_the_end(_fraction: float, message: str) -> None:
        if message.startswith("step 12 "):
            raise Died

    with pytest.raises(Died):
        fine_tune(taught, asked, die_at_the_end, Never(), watcher=FakeWatcher(quiet_from=QUIET_FROM))
    told: list[str] = []
    watcher = FakeWatcher(quiet_from=QUIET_FROM)
    fine_tune(taught, asked, lambda _f, message: told.append(message), Never(), resume=True, watcher=watcher)
    assert not any("loss" in message for message in told)
    assert told[-1].startswith("stopped at step 12 of 18: ")
    assert [step for step, _ in watcher.asked] == [12]


def test_a_process_killed_while_it_decides_loses_nothing(
    taught: Store, config: Any, killed: list[BaseProcess], tmp_path: Path
) -> None:
    """A capture at every step, so that a kill after some of them most likely falls beside a decision."""
    asked = config(**{**RUNS["circuit_change"], "n_steps": 16, "capture_every": 1})
    for n_checkpoints in (3, 8):
        killed.append(begun(taught, asked, quiet_from=10))
        kill_after(killed[-1], taught, n_checkpoints)
        again = Store(taught.workspace, bundled=None)  # cleans up as a restart does
        assert again.check() == []
        again.close()
    fine_tune(taught, asked, quiet, Never(), resume=True, watcher=FakeWatcher(quiet_from=10))
    alone = Store(tmp_path / "whole", bundled=None)
    alone.save_corpus(tiny_corpus())
    fine_tune(alone, asked, quiet, Never(), watcher=FakeWatcher(quiet_from=10))
    assert_equal_runs(taught, alone)
    assert alone.decisions("run").stopped_at == 12
