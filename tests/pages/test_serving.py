"""The server opens the workspace when it starts, before anybody asks for a page of it."""

import logging

import pytest

from pages._ui import serving, session
from tests.pages.conftest import OpenPage


def test_the_first_page_finds_the_workspace_open(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    serving.open_workspace()
    opened = session.store()
    monkeypatch.setattr("engine.store.Store.open", lambda: pytest.fail("opened again"))
    assert not open_page("models").exception
    assert session.store() is opened


def test_what_hinders_it_is_left_to_the_first_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("the drive is away")

    monkeypatch.setattr(serving, "jobs", fail)
    with caplog.at_level(logging.WARNING):
        serving.open_workspace()
    assert "the drive is away" in caplog.text
