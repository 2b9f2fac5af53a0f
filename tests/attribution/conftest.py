"""Replacement models of tiny models with random transcoders, shared by a file's tests."""

import pytest

from engine.models.replacement import Replacement
from tests.attribution.parts import FOLDERS, load, random_transcoders


@pytest.fixture(scope="module", params=FOLDERS)
def replacement(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load(request.param, tmp_path_factory.mktemp(request.param))
    return Replacement(loaded, random_transcoders(loaded))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load("llama", tmp_path_factory.mktemp("llama"))
    return Replacement(loaded, random_transcoders(loaded))
