"""Tracelapse's engine: everything the app shows is computed here, and nothing here knows the app.

`engine.open(folder)` gives a workspace to work with from a notebook or a script (`engine.workspace`).
"""

import os
from typing import TYPE_CHECKING, Any

from engine.domain.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from engine.workspace import Difference, HtmlPage, WhenLearned, WhereActed, Workspace

# torch reads it when it is imported: its threads then spin only briefly while they wait for each other. Beside another
# program that computes, a thread that spins takes the core from the one that it waits for.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = ["Difference", "HtmlPage", "WhenLearned", "WhereActed", "Workspace", "__version__", "open"]


def open(folder: "Path | str | None" = None) -> "Workspace":  # noqa: A001 - read as `engine.open`
    """The workspace in `folder`; None is the one that TRACELAPSE_HOME names, else `data/runs`. Raises StorageFailed."""
    from engine.workspace import Workspace

    return Workspace(folder)


def __getattr__(name: str) -> Any:
    """What is public is imported when it is first asked for."""
    if name in __all__:
        from engine import workspace

        return getattr(workspace, name)
    raise AttributeError(f"module “engine” has no “{name}”")
