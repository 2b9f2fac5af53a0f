"""`store check`, `store rebuild`."""

import typer

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.domain.errors import InputError

group = typer.Typer(help="The workspace on disk and its index.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="store")


@group.command()
def check(ctx: typer.Context, *, json_file: JsonFile = None) -> None:
    """Read every artifact and tell which are not whole."""
    check_destination(json_file)
    store = store_of(ctx)
    problems = store.check()
    if json_file:
        write_json([{"path": str(problem.path), "reason": problem.reason} for problem in problems], json_file)
    if json_file != "-":
        if problems:
            show_table(("file", "what is wrong"), [(str(problem.path), problem.reason) for problem in problems])
        else:
            say(f"Every artifact in {store.workspace} is whole.")
    if problems:
        raise InputError(f"{len(problems)} problem(s) in {store.workspace}.")


@group.command()
def rebuild(ctx: typer.Context) -> None:
    """Make the index again from the files."""
    store = store_of(ctx)
    say(f"{store.rebuild()} artifacts in the index of {store.workspace}.")
