"""`jobs`: what runs or ran in the workspace, in whichever process."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress


def add_to(app: typer.Typer) -> None:
    app.command()(jobs)


def jobs(
    ctx: typer.Context,
    *,
    cancel: Annotated[str | None, typer.Option(metavar="ID", help="Ask a job to stop, also one of the app's.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Do a job again from where it stopped.")] = None,
    json_file: JsonFile = None,
) -> None:
    """List jobs, cancel one, or resume one."""
