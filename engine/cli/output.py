"""What commands print: tables and lines for people, JSON for programs. User text is never read as markup."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.domain.errors import InputError
from engine.domain.numbers import MISSING, decimal

JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the data as JSON; - is stdout.", show_default=False)
]

_ROWS = 10_000  # of a table that are written at once
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
    path = Path(str(destination)).expanduser()
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise InputError(f"The JSON cannot be written to {path}: {reason}. Give a file in a folder that exists.")


def write_json(data: object, destination: str) -> None:
    """UTF-8 JSON to a file (whole or not at all) or to stdout. NaN and infinities become null.

    A data frame is written as a list of records, a block of rows at a time; floats in it have up to 15 decimals.
    """
    _write(_json_blocks(data), destination)


def write_out(text: str, destination: str) -> None:
    """The text as it is, in UTF-8, to a file (whole or not at all) or to stdout (`-`)."""
    _write((text,), destination)


def _write(blocks: Iterable[str], destination: str) -> None:
    if destination == "-":
        for block in blocks:
            typer.echo(block, nl=False)
        return
    from engine.store.files import write_blocks

    write_blocks(Path(destination).expanduser(), (block.encode() for block in blocks))


@runtime_checkable
class _DataFrame(Protocol):
    """pandas' own, which is not imported for those who print none."""

    def __len__(self) -> int: ...

    @property
    def iloc(self) -> Any: ...


def _json_blocks(data: object) -> Iterator[str]:
    if not isinstance(data, Mapping) or not any(isinstance(value, _DataFrame) for value in data.values()):
        yield json.dumps(_finite(data), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        return
    for number, (key, value) in enumerate(data.items()):
        yield f"{',' if number else '{'}\n {json.dumps(key)}: "
        if isinstance(value, _DataFrame):
            yield "["
            for start in range(0, len(value), _ROWS):
                rows = value.iloc[start : start + _ROWS].to_json(orient="records", double_precision=15)
                yield ("," if start else "") + rows[1:-1]
            yield "]"
        else:
            yield json.dumps(_finite(value), ensure_ascii=False, indent=1, allow_nan=False)
    yield "\n}\n"


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
