"""`demo build`, `demo check`."""

from typing import Annotated

import typer

from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import InputError

group = typer.Typer(help="The bundled demo.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="demo")
