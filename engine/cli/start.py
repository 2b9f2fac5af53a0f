"""`app`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.context import Settings
from engine.domain.errors import InputError
from engine.domain.paths import person_path
from engine.store.memory import with_few_arenas

_APP = Path(__file__).parents[2] / "app.py"


def add_to(app: typer.Typer) -> None:
    app.command(name="app")(start)


def start(
    ctx: typer.Context,
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it is served on this machine.")] = 8501,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Start the app. It is served to this machine alone."""
    if not _APP.is_file():
        raise InputError(f"The app is not here: {_APP} is missing. Install Tracelapse again.")
    settings = ctx.find_object(Settings)
    environment = with_few_arenas(dict(os.environ))
    if settings is not None and settings.workspace is not None:
        environment["TRACELAPSE_HOME"] = str(person_path(settings.workspace).absolute())
    command = [sys.executable, "-m", "streamlit", "run", str(_APP), "--server.port", str(port)]
    command += [] if browser else ["--server.headless", "true"]
    if os.name == "posix":  # in this process, so that whatever ends it ends the app
        os.execve(sys.executable, command, environment)  # noqa: S606 - our own app
    raise typer.Exit(subprocess.call(command, env=environment))  # noqa: S603 - as above
