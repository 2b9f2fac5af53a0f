"""A run in a process of its own, which is killed after some of its checkpoints."""

from multiprocessing.process import BaseProcess
from pathlib import Path
from time import sleep

from engine.domain.runs import RunConfig
from engine.store import Store
from engine.training.fine_tune import fine_tune
from tests.training.conftest import Never, quiet
from tests.training.watchers import FakeWatcher
from tests.warm import warm


def train(workspace: str, config: str, quiet_from: int) -> None:
    """What the process does: `config` is JSON, circuits rest from step `quiet_from`."""
    asked = RunConfig.model_validate_json(config)
    watcher = FakeWatcher(quiet_from=quiet_from)
    fine_tune(Store(Path(workspace), bundled=None), asked, quiet, Never(), resume=True, watcher=watcher)


def begun(store: Store, config: RunConfig, *, quiet_from: int = 10**6) -> BaseProcess:
    process = warm().Process(target=train, args=(str(store.workspace), config.model_dump_json(), quiet_from))
    process.start()
    return process


def kill_after(process: BaseProcess, store: Store, n_checkpoints: int) -> None:
    """SIGKILL as soon as there are so many besides the base."""
    checkpoints = store.workspace / "runs" / "run" / "checkpoints"
    while process.is_alive() and len(list(checkpoints.glob("step-*"))) < n_checkpoints:
        sleep(0.002)
    process.kill()
    process.join()
