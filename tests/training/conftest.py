"""A tiny Llama, a tiny corpus, and what a run is asked with."""

import hashlib
import shutil
from collections.abc import Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig

from engine.domain.errors import Canceled
from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.store import Store
from tests.tiny import tiny_corpus, tiny_llama
from tests.training.trained_elsewhere import plain_script


class Never:
    """A cancel token that is never set."""

    def check(self) -> None:
        return


class After:
    """A cancel token that is set at the `n`th time it is asked."""

    def __init__(self, n: int) -> None:
        self.left = n

    def check(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Canceled


def quiet(_fraction: float, _message: str) -> None:
    """A report that nobody reads."""


def weights_hash(store: Store, run: str) -> dict[int, str]:
    """sha256 of each checkpoint's adapter or weights, by step."""
    return {
        checkpoint.step: hashlib.sha256(
            b"".join(path.read_bytes() for path in sorted(checkpoint.folder.glob("*.safetensors")))
        ).hexdigest()
        for checkpoint in store.checkpoints(run)
        if checkpoint.step
    }


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tiny_llama(tmp_path_factory.mktemp("llama") / "base")
    return ModelSpec(name="tiny", source="folder", location=str(folder))


@pytest.fixture
def taught(store: Store) -> Store:
    """A workspace with the tiny corpus."""
    store.save_corpus(tiny_corpus())
    return store


@pytest.fixture
def killed(taught: Store) -> Iterator[list[BaseProcess]]:
    """Processes that a test starts in this workspace: none of them outlives it."""
    started: list[BaseProcess] = []
    yield started
    for process in started:
        process.kill()
        process.join()


def run_config(model: ModelSpec, name: str = "run", **changes: Any) -> RunConfig:
    """A short run. 20 examples in batches of 6: epochs of four batches, the last of them smaller."""
    settings = {"n_steps": 14, "batch_size": 6, "capture": (0.5, 1.0), "learning_rate": 0.01, "rank": 4, "alpha": 8}
    return RunConfig(name=name, model=model, corpus="tiny", **{**settings, **changes})


@pytest.fixture
def config(llama: ModelSpec) -> Any:
    """`run_config` on the tiny Llama."""
    return partial(run_config, llama)


def pickled(folder: Path) -> list[Path]:
    """Files that are or look like pickles (also in zip form, as torch writes them)."""
    suspects = []
    for path in folder.rglob("*"):
        if path.is_file() and (
            path.suffix in {".bin", ".pt", ".pth", ".pkl", ".pickle"} or path.read_bytes()[:2] in {b"\x80\x02", b"PK"}
        ):
            suspects.append(path)
    return suspects


@pytest.fixture(scope="module")
def script(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lora = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return plain_script(Path(llama.location), tmp_path_factory.mktemp("script") / "out", lora)


@pytest.fixture
def out(script: Path, tmp_path: Path) -> Path:
    """A copy of the script's output, to be spoilt."""
    return Path(shutil.copytree(script, tmp_path / "out"))
