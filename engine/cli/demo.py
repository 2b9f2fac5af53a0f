"""`demo build`, `demo check`."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import InputError
from engine.domain.paths import person_path

group = typer.Typer(help="The bundled demo: made again from a seed, or measured again.", no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the demo lies.", show_default="data/demo")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="demo")


@group.command()
def build(
    *,
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights on the same machine.")] = 0,
    folder: Folder = None,
    json_file: JsonFile = None,
) -> None:
    """Make base model, corpus, both runs, transcoders and graphs; the old demo is replaced at the end."""
    from engine.demo.build import build_demo
    from engine.store import BUNDLED

    check_destination(json_file)
    where = person_path(folder or BUNDLED)
    with progress("building the demo") as report:
        figures = build_demo(where, seed, report)
    if json_file:
        write_json(figures.model_dump(mode="json"), json_file)
    if json_file != "-":
        show_table(("figure", "value"), [(figure.name, figure.value) for figure in figures.figures])
        say(f"The demo is in {where}")


@group.command()
def check(*, folder: Folder = None, json_file: JsonFile = None) -> None:
    """Measure the demo again and compare with the figures of its model card."""
    from engine.demo.check import check_demo
    from engine.store import BUNDLED

    check_destination(json_file)
    with progress("measuring the demo") as report:
        rows = check_demo(person_path(folder or BUNDLED), report)
    if json_file:
        write_json([{"name": r.name, "value": r.value, "stated": r.stated, "ok": r.ok} for r in rows], json_file)
    if json_file != "-":
        columns = ("figure", "measured", "stated", "agrees")
        show_table(columns, [(r.name, r.value, r.stated, "yes" if r.ok else "NO") for r in rows])
    wrong = [row.name for row in rows if not row.ok]
    if wrong:
        raise InputError(f"{len(wrong)} of {len(rows)} figures differ from the model card: {', '.join(wrong[:8])}.")
