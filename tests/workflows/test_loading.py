"""A base model in memory: when it is the same, and when it is read again."""

import os
from pathlib import Path

from engine.domain.models import ModelSpec
from engine.store import Store
from engine.workflows.loading import base_model
from tests.tiny import tiny_llama


def test_a_model_made_again_in_the_same_place_is_loaded_again(store: Store, tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "base")
    spec = ModelSpec(name="tiny", source="folder", location=str(folder))
    first = base_model(store, spec)
    assert base_model(store, spec.model_copy(update={"transcoders": "gemma"})) is first
    weights = folder / "model.safetensors"
    os.utime(weights, (1e9, 1e9))
    assert base_model(store, spec) is not first
