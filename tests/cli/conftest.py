"""A command line to call in this process."""

from typing import Protocol

import pytest
from typer.testing import CliRunner, Result

from engine.cli.app import app


class Cli(Protocol):
    """`cli("corpus", "check", "file")`: exit code, stdout and stderr."""

    def __call__(self, *args: object) -> Result: ...


@pytest.fixture
def cli() -> Cli:
    """Calls commands in the workspace that TRACELAPSE_HOME names (each test has its own)."""
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
