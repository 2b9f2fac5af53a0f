"""Pages run by Streamlit's own test harness, in this process, with a store of the test's own."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import CancelToken, Report, Request
from engine.jobs import JobManager
from engine.store import BUNDLED, Store
from engine.store.kept import kept_values
from pages._ui import session

ROOT = Path(__file__).parents[2]
OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def _one_look_at_the_packages() -> Iterator[None]:
    """Each AppTest is a server that begins, and reads of every installed package whether it brings a component."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """AppTest leaves its script as the main module, which every process that a later test spawns would run."""
    own = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = own


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, with_demo: Callable[[Path], Path]) -> Iterator[OpenPage]:
    """`open_page("compare", bundled=…, a="…")`: the page as a visitor with that address sees it."""
    monkeypatch.chdir(ROOT)  # as `streamlit run app.py` does it
    used: list[Store] = []

    def open_(page: str, *, bundled: Path | None = BUNDLED, **params: str) -> AppTest:
        if not used:
            workspace = Path(os.environ["TRACELAPSE_HOME"])
            used.append(Store(with_demo(workspace) if bundled == BUNDLED else workspace, bundled=bundled))
            monkeypatch.setattr(session.Store, "open", lambda: used[0])
            monkeypatch.setattr(session, "JobManager", lambda store: JobManager(store, run=_wait_for_cancel))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in params.items():
            app.query_params[name] = value
        app.switch_page(f"pages/{page}.py")
        return app.run()

    _forget()
    yield open_
    if used:
        session.jobs().close()
    _forget()


def _wait_for_cancel(_store: Store, _request: Request, _report: Report, cancel: CancelToken) -> str:
    """Pages only submit and show jobs: what a job does is tested elsewhere, and must not load torch here."""
    while True:
        cancel.check()
        time.sleep(0.01)


def _forget() -> None:
    st.cache_resource.clear()
    kept_values().clear()
