"""`import-adapter`."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import model_spec, stored_corpus
from engine.cli.output import say
from engine.cli.progress import progress


def add_to(app: typer.Typer) -> None:
    app.command("import-adapter")(import_adapter)


def import_adapter(
    ctx: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What PEFT or Trainer saved.")],
    *,
    name: Annotated[str, typer.Option(metavar="RUN", help="Name of the run that they become.")],
    model: Annotated[str, typer.Option(metavar="M", help="demo, a Hugging Face folder, or a hub id.")] = "demo",
    corpus: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Its probes are measured at every checkpoint.")
    ] = None,
) -> None:
    """Take in checkpoints that were trained elsewhere: checkpoint-* folders, or a folder that holds them."""
    from engine.workflows.imports import import_adapters

    store = store_of(ctx)
    spec = model_spec(model, tuple(store.models()))
    taught = stored_corpus(store, corpus).name if corpus else None
    paths = [folder.expanduser() for folder in folders]
    with progress(f"importing {name}") as report:
        import_adapters(store, paths, name=name, model=spec, corpus=taught, report=report, cancel=_CtrlC())
    if spec.source != "bundled":
        store.save_model(spec)  # the app offers it from now on
    say(f"{name}: {', '.join(checkpoint.label for checkpoint in store.checkpoints(name))}")


class _CtrlC:
    """Here only Ctrl-C stops an import; it raises KeyboardInterrupt by itself."""

    def check(self) -> None:
        """Nothing to ask."""
