"""Libraries are imported in an idle moment, never while a page is drawn, and never beside a job."""

import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.jobs.warm_up import WarmUp

NAMES = ("warm_one", "warm_two")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bool]:
    """Two packages to import; asks whether one is imported."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gc, "freeze", lambda: None)  # what the tests of this process hold
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield lambda name: name in sys.modules
    for name in NAMES:
        sys.modules.pop(name, None)


def test_all_is_imported_once_a_page_was_served(modules: Callable[[str], bool]) -> None:
    warm = WarmUp(NAMES, idle_s=0.0)
    warm.thread.start()
    with warm.page():
        assert not modules("warm_one")
    warm.thread.join(10)
    assert modules("warm_one")
    assert modules("warm_two")


def test_nothing_is_imported_before_the_first_page_or_while_one_is_drawn(modules: Callable[[str], bool]) -> None:
    warm = WarmUp(NAMES, idle_s=0.0)
    warm.thread.start()
    warm.thread.join(0.05)
    assert warm.thread.is_alive()
    page = warm.page()
    page.__enter__()
    with warm.page():  # of another tab
        pass
    warm.thread.join(0.05)
    assert not modules("warm_one")
    page.__exit__(None, None, None)
    warm.thread.join(10)
    assert modules("warm_two")


def test_a_job_ends_it(modules: Callable[[str], bool]) -> None:
    warm = WarmUp(NAMES, idle_s=60.0)
    warm.thread.start()
    with warm.page():
        pass
    warm.end()
    warm.thread.join(10)
    assert not warm.thread.is_alive()
    assert not modules("warm_one")


def test_a_job_waits_for_the_package_that_is_being_imported(
    modules: Callable[[str], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr("engine.jobs.warm_up._import", lambda _: begun.set() or go_on.wait(10))
    warm = WarmUp(NAMES, idle_s=0.0)
    warm.thread.start()
    with warm.page():
        pass
    assert begun.wait(10)
    job = threading.Thread(target=lambda: (warm.end(), ended.set()))
    job.start()
    assert not ended.wait(0.05)
    go_on.set()
    assert ended.wait(10)
    job.join()
    warm.thread.join(10)
    assert not warm.thread.is_alive()


def test_what_cannot_be_imported_is_left_to_the_job(modules: Callable[[str], bool]) -> None:
    warm = WarmUp(("no_such_package", "warm_two"), idle_s=0.0)
    warm.thread.start()
    with warm.page():
        pass
    warm.thread.join(10)
    assert modules("warm_two")
