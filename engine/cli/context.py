"""What a command finds in its context: the store of the chosen workspace."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from engine.store import Store


@dataclass(frozen=True)
class Settings:
    """The global options."""

    workspace: Path | None  # None: TRACELAPSE_HOME, else data/runs

    @cached_property
    def store(self) -> "Store":
        """Opened on first use, so that `--help` touches no disk."""
        from engine.store import Store

        return Store.open(self.workspace)


def store_of(ctx: typer.Context) -> "Store":
    """The store of this command line."""
    settings = ctx.find_object(Settings)
    assert settings is not None  # the app's callback has set it
    return settings.store
