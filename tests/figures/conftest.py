"""Figures are tested with all of Altair's checks: pages make them without."""

from collections.abc import Iterator

import pytest
from altair.utils import schemapi


@pytest.fixture(autouse=True)
def _checked_as_it_is_made() -> Iterator[None]:
    with schemapi.debug_mode(True):
        yield
