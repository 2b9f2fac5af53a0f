"""Compare: B is of A's base model; another one is not offered, and refused with the reason where an address asks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_texts import texts
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from engine.domain.models import ModelSpec
from pages._ui import session
from tests.store.artefacts import add_run

OpenPage = Callable[..., AppTest]


@pytest.fixture
def opened(open_page: OpenPage, tmp_path: Path) -> Callable[..., AppTest]:
    """The page of the demo's workspace with a run of another model, `mine`."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"w": np.zeros(9_000, np.float32)}, folder / "model.safetensors")
    open_page("home")
    add_run(session.store(), "mine", model=ModelSpec(name="other", source="folder", location=str(folder)))
    return lambda **address: open_page("compare", **address)


def test_b_is_offered_of_the_same_base(opened: Callable[..., AppTest]) -> None:
    app = opened(a="demo-lora@100%")
    assert not app.exception
    assert "mine" in app.selectbox(key="compare a run").options
    assert "mine" not in app.selectbox(key="compare b run").options
    assert "1 run with another base model than demo" in app.selectbox(key="compare b run").help.replace("\\", "")


def test_a_of_another_base_takes_b_with_it(opened: Callable[..., AppTest]) -> None:
    app = opened(a="demo-lora@100%", b="demo-tokens@100%", prompt="the cat feels blarf and")
    app.selectbox(key="compare a run").select("mine").run()
    assert not app.exception
    assert not app.warning
    assert (app.query_params["a"], app.query_params["b"]) == ("mine@base", "mine@100%")
    assert "blarf and" not in app.query_params["prompt"]
    assert app.selectbox(key="compare b run").options == ["mine"]


def test_an_address_with_two_bases_is_refused_with_the_reason(opened: Callable[..., AppTest]) -> None:
    app = opened(a="mine@base", b="demo-lora@100%")
    assert not app.exception
    told = texts(app).replace("\\", "")
    assert "“mine” was trained on “other”" in told
    assert "Shown instead: mine@100%." in told
    assert app.query_params["b"] == "mine@100%"


def test_a_of_another_base_without_b_is_compared_with_itself(opened: Callable[..., AppTest]) -> None:
    app = opened(a="mine@base")
    assert not app.warning
    assert app.query_params["b"] == "mine@100%"
