"""`bench`."""

from typing import Annotated

import typer

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import InputError


def add_to(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    ctx: typer.Context,
    *,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this measure; may be repeated.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 2 where a target is not met.")] = False,
    keep: Annotated[
        str, typer.Option(metavar="STUDY", help="Keep what rankings are worth with this study, as one of its findings.")
    ] = "",
    json_file: JsonFile = None,
) -> None:
    """Measure the speed and memory that the app promises."""
    from engine.bench import keep_rankings, measure

    check_destination(json_file)
    if keep:
        store_of(ctx).study(keep)  # not only after minutes
    with progress("measuring") as report:
        measured = measure(tuple(only or ()), report)
    if json_file:
        write_json([row.model_dump(mode="json") for row in measured.rows], json_file)
    missed = [row.name for row in measured.rows if not row.met]
    if json_file != "-":
        show_table(
            ("measure", "value", "unit", "reference", "ratio", "target", "met"),
            [
                (r.name, r.value, r.unit, r.reference, r.ratio, r.target, "yes" if r.met else "NO")
                for r in measured.rows
            ],
        )
        say(f"Not met: {', '.join(missed)}." if missed else "Every target measured is met.")
    if measured.failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in measured.failures.items())
        raise InputError(f"Could not be measured: {reasons}")
    if keep:
        keep_rankings(store_of(ctx), keep, measured.ranked)
        say(f"Kept in {store_of(ctx).workspace / 'studies' / keep}")
    if missed and strict:
        raise InputError(f"Targets not met: {', '.join(missed)}.")
