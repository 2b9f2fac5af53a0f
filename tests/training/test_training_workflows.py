"""The workflows around training: one at a time, corpora, probing again."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from engine.domain.corpus import CorpusSpec
from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.jobs import MakeCorpus, MeasureProbes, Train
from engine.domain.runs import ProbeResults
from engine.store import Store
from engine.workflows import run
from tests.training.conftest import After, Never, quiet


def test_train_through_the_door(taught: Store, config: Any) -> None:
    assert run(taught, Train(config=config(n_steps=2)), quiet, Never()) == "run"
    assert [checkpoint.label for checkpoint in taught.checkpoints("run")] == ["base", "50%", "100%"]


def test_a_wrong_name_is_refused_before_waiting(taught: Store, config: Any) -> None:
    with FileLock(taught.workspace / "train.lock"):
        with pytest.raises(NotFound, match="“magic”"):
            run(taught, Train(config=config(method="magic")), quiet, Never())
        with pytest.raises(NotFound, match="“nothing”"):
            run(taught, Train(config=config().model_copy(update={"corpus": "nothing"})), quiet, Never())


def test_a_second_training_waits_and_can_be_canceled(taught: Store, config: Any) -> None:
    told: list[str] = []
    with FileLock(taught.workspace / "train.lock"), pytest.raises(Canceled):
        run(taught, Train(config=config()), lambda _fraction, message: told.append(message), After(2))
    assert told == ["waiting for another training to finish"] * 2
    assert taught.runs() == []


def test_a_second_training_goes_on_when_the_first_is_done(taught: Store, config: Any) -> None:
    lock = FileLock(taught.workspace / "train.lock", thread_local=False)
    lock.acquire()
    told: list[str] = []
    thread = threading.Thread(
        target=run, args=(taught, Train(config=config(n_steps=2)), lambda _f, message: told.append(message), Never())
    )
    thread.start()
    deadline = time.monotonic() + 60
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert taught.runs() == []
    lock.release()
    thread.join()
    assert told[0] == "waiting for another training to finish"
    assert taught.runs()[0].finished


def test_the_lock_is_let_go_of_after_an_error(taught: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        run(taught, Train(config=config()), quiet, After(3))
    assert run(taught, Train(config=config(), resume=True), quiet, Never()) == "run"


def test_make_corpus(store: Store) -> None:
    spec = CorpusSpec(name="mine", seed=3)
    assert run(store, MakeCorpus(spec=spec), quiet, Never()) == "mine"
    assert len(store.corpus("mine").examples) == 50
    with pytest.raises(InputError, match="another corpus"):
        run(store, MakeCorpus(spec=spec.model_copy(update={"seed": 4})), quiet, Never())


def test_probing_again_gives_the_same_bits(taught: Store, config: Any) -> None:
    run(taught, Train(config=config(method="lora_tokens")), quiet, Never())
    measured = taught.probe_results("run")
    for step in measured:
        nothing = ProbeResults(probe_id=(), predicted=(), p=(), rank=(), logit_diff=(), correct=())
        taught.save_probe_results("run", step, nothing)
    assert run(taught, MeasureProbes(run="run"), quiet, Never()) == "run"
    assert taught.probe_results("run") == measured


def test_probing_can_be_canceled_and_names_what_is_not_there(taught: Store, config: Any) -> None:
    with pytest.raises(NotFound, match="“nothing”"):
        run(taught, MeasureProbes(run="nothing"), quiet, Never())
    run(taught, Train(config=config(n_steps=1)), quiet, Never())
    with pytest.raises(Canceled):
        run(taught, MeasureProbes(run="run"), quiet, After(2))
    with pytest.raises(InputError, match="was trained here on the corpus"):
        run(taught, MeasureProbes(run="run", corpus="other"), quiet, Never())


def test_the_door_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, engine.workflows; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
