"""Runs of two base models are told apart before anything is loaded; the same files under two names are one model."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.domain.errors import ComparisonRefused
from engine.domain.models import ModelSpec
from engine.store import Store
from engine.workflows import loading
from engine.workflows.same_base import comparable, why_not_comparable
from tests.store.artefacts import add_run


def model(folder: Path, seed: int = 0, *, n: int = 40_000) -> ModelSpec:
    """A folder with weights drawn by the seed."""
    folder.mkdir()
    save_file({"w": np.random.default_rng(seed).random(n, np.float32)}, folder / "model.safetensors")
    return ModelSpec(name=folder.name, source="folder", location=str(folder))


@pytest.fixture
def three(tmp_path: Path) -> Store:
    """Runs of a model, of its copy in another folder, of one of the same shape, and of one that is not here."""
    made = Store(tmp_path / "workspace", bundled=None)
    add_run(made, "one", model=model(tmp_path / "a"))
    add_run(made, "copy", model=model(tmp_path / "b"))
    add_run(made, "tuned", model=model(tmp_path / "c", 1))
    add_run(made, "gone", model=ModelSpec(name="d", source="folder", location=str(tmp_path / "d")))
    return made


def test_only_runs_of_one_model_are_comparable(three: Store) -> None:
    assert comparable(three, "one", ["copy", "gone", "one", "tuned"]) == ["copy", "gone", "one"]
    assert comparable(three, "tuned", ["one", "tuned"]) == ["tuned"]
    assert why_not_comparable(three, "one", "copy") == ""
    told = why_not_comparable(three, "one", "tuned")
    assert told.startswith("“one” was trained on “a” (")
    assert "“tuned” on “c” (" in told
    assert told.endswith("Compare checkpoints of one base model.")


def test_added_rows_make_another_model(tmp_path: Path) -> None:
    made, spec = Store(tmp_path / "workspace", bundled=None), model(tmp_path / "a")
    for name, vocabulary in (("plain", ""), ("rows", "abc-1"), ("read", "000-1")):
        add_run(made, name, model=spec.model_copy(update={"vocabulary": vocabulary}))
    assert comparable(made, "plain", ["plain", "rows", "read"]) == ["plain", "read"]


def test_a_job_refuses_before_a_model_is_loaded(three: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "base_model", lambda *_: pytest.fail("a model was loaded"))
    sides = [three.checkpoint("one@base"), three.checkpoint("tuned@base")]
    with pytest.raises(ComparisonRefused, match="Compare checkpoints of one base model"):
        loading.common_model(three, sides)
