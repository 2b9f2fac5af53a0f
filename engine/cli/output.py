"""What commands print: tables and lines for people, JSON for programs. User text is never read as markup."""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.domain.errors import InputError
from engine.domain.numbers import MISSING, decimal
from engine.domain.paths import person_path

JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the data as JSON; - is stdout.", show_default=False)
]

PIPED_WIDTH = 200  # characters; rich takes 80 where there is no terminal, and would fold the tables


def console(*, stderr: bool = False) -> Console:
    """A console that takes every string as it is. Made anew each time: tests replace the streams."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def plain(text: object) -> str:
    """The text with control characters (also a terminal's escape sequences) made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def say(line: object) -> None:
    """One line on stdout, never folded."""
    console().print(Text(plain(line)), soft_wrap=True)


def note(line: object) -> None:
    """One line on stderr: what stdout, which may be JSON, has no place for."""
    sys.stderr.write(f"{plain(line)}\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """A table on stdout; numbers stand to the right, floats have three digits."""
    body = [list(row) for row in rows]
    if title:
        say(title)
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float | None) for row in body)
        table.add_column(Text(plain(name)), justify="right" if numeric and body else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(_cell(value)) for value in row))
    console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return MISSING
    return decimal(value, 3) if isinstance(value, float) else plain(value)


def check_destination(destination: str | None) -> None:
    """Asked before long work: can the JSON be written there? Raises InputError."""
    if destination in (None, "-"):
        return
    path = person_path(str(destination))
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise InputError(f"The JSON cannot be written to {path}: {reason}. Give a file in a folder that exists.")


def write_json(data: object, destination: str) -> None:
    """UTF-8 JSON to a file (whole or not at all) or to stdout. NaN and infinities become null.

    A data frame is written as a list of records, a block of rows at a time (`json_blocks`).
    """
    from engine.store.json_blocks import json_blocks

    _write(json_blocks(data), destination)


def write_out(text: str, destination: str) -> None:
    """The text as it is, in UTF-8, to a file (whole or not at all) or to stdout (`-`)."""
    _write((text,), destination)


def _write(blocks: Iterable[str], destination: str) -> None:
    if destination == "-":
        for block in blocks:
            typer.echo(block, nl=False)
        return
    from engine.store.files import write_blocks

    write_blocks(person_path(destination), (block.encode() for block in blocks))
