"""Replacements of tiny models with random transcoders, shared by a file's tests, and circuit-tracer's own."""

from typing import Any

import pytest

from engine.models.replacement import Replacement
from tests.attribution.lens_oracle import lens_model
from tests.attribution.parts import FOLDERS, load, random_transcoders


@pytest.fixture(scope="module", params=FOLDERS)
def replacement(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load(request.param, tmp_path_factory.mktemp(request.param))
    return Replacement(loaded, random_transcoders(loaded))


@pytest.fixture(scope="module")
def lens(replacement: Replacement) -> Any:
    """On its TransformerLens backend, of the base model."""
    return lens_of(replacement)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load("llama", tmp_path_factory.mktemp("llama"))
    return Replacement(loaded, random_transcoders(loaded))


@pytest.fixture(scope="module")
def llama_lens(llama: Replacement) -> Any:
    return lens_of(llama)


def lens_of(replacement: Replacement) -> Any:
    loaded = replacement.loaded
    return lens_model(loaded.model, replacement.transcoders, loaded.tokenizer)
