"""A corpus as CSV: one row an example, probe or pair, and the same file read back."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic_core import from_json

from engine.corpus.format import FIELDS
from engine.corpus.rows import Row
from engine.domain.corpus import Corpus
from engine.domain.errors import BadLine
from engine.domain.numbers import plural

COLUMNS = tuple(FIELDS)
REQUIRED = ("text", "constraint", "meaning")  # of examples and probes of words; a probe also has an answer
PAIR_REQUIRED = ("clean", "corrupted", "answer", "corrupted_answer")
DELIMITERS = ",;\t|"
_BETWEEN = " | "  # foils of one cell
_INDEX = ""  # the name of a first column of row numbers, as pandas writes it
_EMPTY = (None, "", ())
_BLANK = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def corpus_csv(corpus: Corpus) -> str:
    """Every field of every line, so that reading it gives an equal corpus. Columns that nothing fills are left out."""
    rows = [line.model_dump() for line in (*corpus.examples, *corpus.probes, *corpus.pairs)]
    columns = [column for column in COLUMNS if any(row.get(column) not in _EMPTY for row in rows)]
    out = io.StringIO()
    # Ends of lines as RFC 4180 has them: texts with either of their characters are then quoted.
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        cells = row | {"foils": foils_cell(row.get("foils", ()))}
        if "blank" in row:
            cells["blank"] = str(row["blank"]).lower()
        if "messages" in row:
            cells["messages"] = json.dumps(row["messages"], ensure_ascii=False)
        writer.writerow(cells)
    return out.getvalue()


def foils_cell(foils: Iterable[str]) -> str:
    """`cries | races`; as JSON where that could be read in another way."""
    known = list(foils)
    cell = _BETWEEN.join(known)
    return cell if _foils(cell) == known else json.dumps(known, ensure_ascii=False)


def _foils(cell: str) -> list[str]:
    if cell.startswith("["):
        with suppress(ValueError):
            foils = from_json(cell)
            if isinstance(foils, list):
                return foils
    return [foil.strip() for foil in cell.split("|") if foil.strip()]


def csv_table(
    lines: list[tuple[int, str]],
) -> tuple[int, tuple[str, ...], list[Row], list[BadLine]]:
    """The number of the header's line, the columns that it names (in lowercase, where all are the format's), the rows
    below it, each with its filled cells, and what is no row. Commas, semicolons, tabs or upright
    bars divide the cells. Columns without a name and without a filled cell, as spreadsheets leave them, are none."""
    while lines and not lines[0][1].strip():
        lines = lines[1:]
    if not lines:
        return 1, (), [], []
    lines, delimiter = _delimiter(lines)
    numbers = [number for number, _ in lines] or [1]
    cells = csv.reader((line + "\n" for _, line in lines), delimiter=delimiter, strict=True)
    header, columns = numbers[0], list[str]()
    rows: list[Row] = []
    bad: list[BadLine] = []
    unnamed = False  # whether a cell is filled in a column that has no name, and does not number the rows
    start = 0  # how many lines were taken before this row: a quoted cell may run over several
    while True:
        number = numbers[min(start, len(numbers) - 1)]
        try:
            row = next(cells)
        except StopIteration:
            break
        except csv.Error as error:
            # Past a broken quote it is anybody's guess where a row begins.
            bad.append(BadLine(number, f"is not CSV ({error}); nothing after it was read"))
            break
        start = cells.line_num
        if not any(cell.strip() for cell in row):
            continue
        if not columns:
            header, columns = number, _names(row)
        elif reason := _bad_row(row, columns):
            bad.append(BadLine(number, reason))
        else:
            filled = {column: cell for column, cell in zip(columns, row, strict=True) if cell and column != _INDEX}
            rows.append((number, filled))
            unnamed = unnamed or any(
                cell.strip() for name, cell in list(zip(columns, row, strict=True))[1:] if not name
            )
    named = columns[1:] if columns[:1] == [_INDEX] else columns
    return header, tuple(column for column in named if column or unnamed), rows, bad


def _names(row: list[str]) -> list[str]:
    lowered = [cell.strip().lower() for cell in row]
    return lowered if FIELDS.keys() >= {*lowered} - {_INDEX} else [cell.strip() for cell in row]


def _delimiter(lines: list[tuple[int, str]]) -> tuple[list[tuple[int, str]], str]:
    """The lines from the header on, and what divides its cells. A line `sep=;` before it, as Excel has it, says so."""
    first = lines[0][1].strip("\r")
    if first.lower().startswith("sep=") and first[4:5] in DELIMITERS and len(first) == len("sep=;"):
        return lines[1:], first[4]
    return lines, max(DELIMITERS, key=first.count)


def header_problem(columns: Sequence[str]) -> str:
    """Why the columns of a CSV file are not those of the format; empty where they are."""
    allowed = (
        f"The first line names the columns: {', '.join(REQUIRED)} for examples, also kind and answer for probes; "
        f"{', '.join(PAIR_REQUIRED)} for pairs; text alone, or prompt and completion, for plain examples. Where they "
        "have other names, say which column is which"
    )
    columns = [column.lower() for column in columns]
    missing = [column for column in _needed(columns) if column not in columns]
    if unknown := [column for column in columns if column not in FIELDS]:
        named = f"an unknown column “{unknown[0][:40]}”" if unknown[0] else "a column without a name"
        return f"has {named}. {allowed}"
    if missing:
        return f"has no column {', '.join(missing)}. {allowed}"
    return f"names a column twice. {allowed}" if len(set(columns)) < len(columns) else ""


def _bad_row(row: list[str], columns: list[str]) -> str:
    if len(row) != len(columns):
        mend = ". Put a cell that holds the dividing sign in double quotes" if len(row) > len(columns) else ""
        return f"has {plural(len(row), 'cell')}; the first line names {plural(len(columns), 'column')}{mend}"
    if columns[0] == _INDEX and not row[0].strip().isdigit():
        return f"has “{row[0][:40]}” in the column without a name. Give the column a name"
    return ""


def _needed(columns: Sequence[str]) -> tuple[str, ...]:
    there = set(columns)
    pairs = PAIR_REQUIRED if there & {"clean", "corrupted"} else ()
    if "text" not in there and pairs:
        return pairs
    if there & {"constraint", "meaning"}:
        return (*REQUIRED, *pairs)
    for alone in (("prompt", "completion"), ("messages",)):  # examples of no words
        if alone[-1] in there:
            return (*alone, *pairs)
    asks = ("text", "kind", "answer") if there & {"kind", "answer"} and not pairs else ("text",)
    return (*asks, *pairs)


def typed_fields(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Cells as the format has them: lists of foils, chats, yes and no."""
    fields = dict(cells)
    if isinstance(foils := fields.get("foils"), str):
        fields["foils"] = _foils(foils)
    if isinstance(messages := fields.get("messages"), str):
        with suppress(ValueError):
            fields["messages"] = from_json(messages)
    if isinstance(blank := fields.get("blank"), str):
        fields["blank"] = _BLANK.get(blank.strip().lower(), blank)
    return fields
