"""What pages open with where their address says nothing: the newest run of a model of one's own, else the demo."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from engine.domain.models import DEMO_MODEL, ModelSpec
from pages._ui import session
from tests.store.artefacts import add_run

OpenPage = Callable[..., AppTest]


@pytest.fixture
def own_model(tmp_path: Path) -> ModelSpec:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"w": np.zeros(9_000, np.float32)}, folder / "model.safetensors")
    return ModelSpec(name="other", source="folder", location=str(folder))


def test_pages_open_with_the_newest_run_of_ones_own_model(open_page: OpenPage, own_model: ModelSpec) -> None:
    open_page("home")
    session.store().save_model(own_model)
    add_run(session.store(), "mine", model=own_model)
    add_run(session.store(), "played", model=DEMO_MODEL)  # newer, but of the model that came with the app
    compare, curves, models = (open_page(page) for page in ("compare", "curves", "models"))
    assert not any(app.exception for app in (compare, curves, models))
    assert (compare.query_params["a"], compare.query_params["b"]) == ("mine@base", "mine@100%")
    assert curves.multiselect(key="curves runs").value == ["mine"]
    assert models.radio(key="models model").value == "other"


def test_a_run_of_the_demos_model_leaves_the_demo_first(open_page: OpenPage) -> None:
    open_page("home")
    add_run(session.store(), "played", model=DEMO_MODEL)
    compare, curves, models = (open_page(page) for page in ("compare", "curves", "models"))
    assert (compare.query_params["a"], compare.query_params["b"]) == ("demo-lora@100%", "demo-tokens@100%")
    assert curves.multiselect(key="curves runs").value == ["demo-lora", "demo-tokens"]
    assert models.radio(key="models model").value == "demo"


def test_without_the_demo_any_run_is_opened(open_page: OpenPage) -> None:
    open_page("home", bundled=None)
    add_run(session.store(), "played", model=DEMO_MODEL)
    compare, curves = (open_page(page, bundled=None) for page in ("compare", "curves"))
    assert (compare.query_params["a"], compare.query_params["b"]) == ("played@base", "played@100%")
    assert curves.multiselect(key="curves runs").value == ["played"]
