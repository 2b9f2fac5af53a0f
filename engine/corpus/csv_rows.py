"""A corpus as CSV: one row an example, probe or pair, and the same file read back."""

import csv
import io
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pydantic_core import from_json

from engine.corpus.rows import Row
from engine.domain.corpus import Corpus
from engine.domain.errors import BadLine

# Of all rows; a row leaves empty what its kind does not have.
COLUMNS = (
    "split", "id", "kind", "text", "answer", "foils", "prompt", "clean", "corrupted", "corrupted_answer",
    "constraint_type", "constraint", "meaning", "known_text", "template", "blank", "completion", "messages",
)  # fmt: skip
REQUIRED = ("text", "constraint_type", "constraint", "meaning")  # of examples and probes; a probe also has an answer
PAIR_REQUIRED = ("clean", "corrupted", "answer", "corrupted_answer", "constraint_type")
DELIMITERS = ",;\t"
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


def csv_rows(lines: list[tuple[int, str]]) -> tuple[list[Row], list[BadLine]]:
    """The rows below the header, each with its filled cells. Commas, semicolons or tabs divide the cells."""
    while lines and not lines[0][1].strip():
        lines = lines[1:]
    if not lines:
        return [], []
    lines, delimiter = _delimiter(lines)
    numbers = [number for number, _ in lines] or [1]
    cells = csv.reader((line + "\n" for _, line in lines), delimiter=delimiter, strict=True)
    columns: list[str] = []
    rows: list[Row] = []
    bad: list[BadLine] = []
    start = 0  # how many lines were taken before this row: a quoted cell may run over several
    while True:
        number = numbers[min(start, len(numbers) - 1)]
        try:
            row = next(cells)
        except StopIteration:
            return rows, bad
        except csv.Error as error:
            # Past a broken quote it is anybody's guess where a row begins.
            return rows, [*bad, BadLine(number, f"is not CSV ({error}); nothing after it was read")]
        start = cells.line_num
        if not any(cell.strip() for cell in row):
            continue
        if not columns:
            columns = [cell.strip().lower() for cell in row]
            if reason := _bad_header(columns):
                return rows, [*bad, BadLine(number, reason)]
        elif reason := _bad_row(row, columns):
            bad.append(BadLine(number, reason))
        else:
            rows.append((number, _fields(dict(zip(columns, row, strict=True)))))


def _delimiter(lines: list[tuple[int, str]]) -> tuple[list[tuple[int, str]], str]:
    """The lines from the header on, and what divides its cells. A line `sep=;` before it, as Excel has it, says so."""
    first = lines[0][1].strip("\r")
    if first.lower().startswith("sep=") and first[4:5] in DELIMITERS and len(first) == len("sep=;"):
        return lines[1:], first[4]
    return lines, max(DELIMITERS, key=first.count)


def _bad_header(columns: list[str]) -> str:
    allowed = (
        f"The first line names the columns: {', '.join(REQUIRED)} for examples, also kind and answer for probes; "
        f"{', '.join(PAIR_REQUIRED)} for pairs; text alone, or prompt and completion, for plain examples"
    )
    columns = columns[1:] if columns[0] == _INDEX else columns
    missing = [column for column in _needed(columns) if column not in columns]
    if unknown := [column for column in columns if column not in COLUMNS]:
        named = f"an unknown column “{unknown[0][:40]}”" if unknown[0] else "a column without a name"
        return f"has {named}. {allowed}"
    if missing:
        return f"has no column {', '.join(missing)}. {allowed}"
    return f"names a column twice. {allowed}" if len(set(columns)) < len(columns) else ""


def _bad_row(row: list[str], columns: list[str]) -> str:
    if len(row) != len(columns):
        return f"has {len(row)} cells; the first line names {len(columns)} columns"
    if columns[0] == _INDEX and not row[0].strip().isdigit():
        return f"has “{row[0][:40]}” in the column without a name. Give the column a name"
    return ""


def _needed(columns: list[str]) -> tuple[str, ...]:
    if not {*REQUIRED[1:], "clean", "corrupted", "kind", "answer"} & set(columns):  # examples of no words
        return ("prompt", "completion") if "completion" in columns else ("text",)
    pairs = PAIR_REQUIRED if {"clean", "corrupted"} & set(columns) else ()
    return (*(REQUIRED if "text" in columns or not pairs else ()), *pairs)


def _fields(cells: dict[str, str]) -> dict[str, Any]:
    """Only the cells that are filled: an empty one is one that its kind of line does not have."""
    fields: dict[str, Any] = {column: cell for column, cell in cells.items() if cell and column != _INDEX}
    if "foils" in fields:
        fields["foils"] = _foils(fields["foils"])
    if "messages" in fields:
        with suppress(ValueError):
            fields["messages"] = from_json(fields["messages"])
    if "blank" in fields:
        fields["blank"] = _BLANK.get(fields["blank"].strip().lower(), fields["blank"])
    return fields
