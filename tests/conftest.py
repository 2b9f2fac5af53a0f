"""What every test needs: no network, no thread pools larger than the cores, a workspace of its own."""

import os

# Before torch, transformers or tokenizers are imported anywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
from pathlib import Path

import pytest

from engine.store import BUNDLED, Store


def pytest_collection_finish() -> None:
    """What was imported stays. Looking through it again at each of transformers' many gc.collect() takes 0.3 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's workspace."""
    monkeypatch.setenv("TRACELAPSE_HOME", str(tmp_path / "workspace"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty workspace without the bundled demo."""
    return Store(tmp_path / "workspace", bundled=None)


@pytest.fixture
def demo_store(tmp_path: Path) -> Store:
    """An empty workspace with the bundled demo on its second shelf."""
    return Store(tmp_path / "workspace", bundled=BUNDLED)
