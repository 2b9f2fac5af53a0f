"""What a command finds in its context: the store of the chosen workspace."""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from engine.cli.output import plain

if TYPE_CHECKING:
    from engine.store import Store


@dataclass(frozen=True)
class Settings:
    """The global options."""

    workspace: str | None  # None: TRACELAPSE_HOME, else data/runs

    @cached_property
    def store(self) -> "Store":
        """Opened on first use, so that `--help` touches no disk."""
        from engine.store import Store

        store = Store.open(self.workspace)
        if note := store.read_only or store.warning:
            sys.stderr.write(f"Note: {plain(note)}\n")
        return store


def store_of(ctx: typer.Context) -> "Store":
    """The store of this command line."""
    settings = ctx.find_object(Settings)
    assert settings is not None  # the app's callback has set it
    return settings.store
