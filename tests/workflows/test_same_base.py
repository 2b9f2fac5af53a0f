"""Runs of two base models are told apart before anything is loaded; the same files under two names are one model."""

import json
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


def words(folder: Path, vocab: dict[str, int], *added: str, merges: object = (), pad: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = {"type": "BPE", "vocab": vocab, "merges": merges}
    text = json.dumps({"model": model, "added_tokens": [{"id": 9, "content": token} for token in added]})
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad}), encoding="utf-8")


def test_the_same_weights_with_another_tokenizer_are_another_model(tmp_path: Path) -> None:
    made = Store(tmp_path / "workspace", bundled=None)
    for name in ("plain", "same", "other", "chat", "told", "silent"):
        add_run(made, name, model=model(tmp_path / name))
    words(tmp_path / "plain", {"a": 0, "b": 1, "ab": 2}, "<s>", merges=["a b"])
    words(tmp_path / "same", {"a": 0, "b": 1, "ab": 2}, "<s>", merges=[["a", "b"]])  # as newer versions write it
    words(tmp_path / "other", {"a": 1, "b": 0, "ab": 2}, "<s>", merges=["a b"])
    words(tmp_path / "chat", {"a": 0, "b": 1, "ab": 2}, "<s>", "<|user|>", merges=["a b"])
    words(tmp_path / "told", {"a": 0, "b": 1, "ab": 2}, "<s>", merges=["a b"], pad="<|user|>")
    assert comparable(made, "plain", ["plain", "same", "other", "chat", "told", "silent"]) == [
        "plain", "same", "told", "silent",
    ]  # fmt: skip
    assert "told" in comparable(made, "chat", ["told"])  # transformers may add it: the job looks
    assert "another tokenizer" in why_not_comparable(made, "other", "plain")


def test_a_tokenizer_that_an_import_brought_along_counts(tmp_path: Path) -> None:
    made, spec = Store(tmp_path / "workspace", bundled=None), model(tmp_path / "a")
    words(tmp_path / "a", {"a": 0, "b": 1})
    for name, added in (("000-1", ()), ("000-2", ("<|user|>",))):
        words(made.workspace / "vocabularies" / name, {"a": 0, "b": 1}, *added)
        (made.workspace / "vocabularies" / name / "added.json").write_text('{"n_base": 2}', encoding="utf-8")
    for name, vocabulary in (("plain", ""), ("alike", "000-1"), ("own", "000-2")):
        add_run(made, name, model=spec.model_copy(update={"vocabulary": vocabulary}))
    assert comparable(made, "plain", ["plain", "alike", "own"]) == ["plain", "alike"]


def test_a_job_refuses_before_a_model_is_loaded(three: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "base_model", lambda *_: pytest.fail("a model was loaded"))
    sides = [three.checkpoint("one@base"), three.checkpoint("tuned@base")]
    with pytest.raises(ComparisonRefused, match="Compare checkpoints of one base model"):
        loading.common_model(three, sides)
