"""A committed study, by the name that a file of tests gives as STUDY."""

import pytest

from engine.domain.studies import Study, StudyTables
from engine.store import Store


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def study(studies: Store, request: pytest.FixtureRequest) -> Study:
    return studies.study(request.module.STUDY)


@pytest.fixture(scope="module")
def tables(studies: Store, request: pytest.FixtureRequest) -> StudyTables:
    return studies.study_tables(request.module.STUDY)
