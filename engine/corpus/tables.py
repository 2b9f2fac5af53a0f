"""A corpus file as rows of named columns, before anything is said of what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from engine.corpus.csv_rows import csv_table, header_problem
from engine.corpus.format import FIELDS
from engine.corpus.json_rows import is_spread, json_rows
from engine.corpus.parquet import MAGIC, parquet_lines
from engine.corpus.rows import Row
from engine.corpus.text_lines import MAX_BYTES, MAX_LINES, NumberedText, text_lines
from engine.corpus.unseen import mixed_forms, unseen
from engine.domain.errors import BadLine, CorpusRefused, InputError, NotFound

CSV_SUFFIXES = (".csv", ".tsv")
PARQUET_SUFFIXES = (".parquet", ".pq")
JSON_SUFFIXES = ("", ".json", ".jsonl", ".ndjson")
_BEGINS = {"text", "completion", "messages", "clean", "corrupted"}  # one of them makes a row something
_MOST_COLUMNS = 200  # that a person can choose among
_OF_ANY = {"split", "id"}
_NOT_TEXT = {  # how a file begins that is no text, and what it is
    b"PK\x03\x04": "a spreadsheet or a zip archive. Save it as CSV (UTF-8)",
    b"\x1f\x8b": "compressed. Unpack it first",
}


@dataclass(frozen=True)
class Table:
    """Rows with what is filled of their columns, in the order of the file."""

    columns: tuple[str, ...]  # in the order in which they come up
    rows: tuple[Row, ...]
    bad: tuple[BadLine, ...]  # what could not be read
    header: BadLine | None = None  # of CSV: why its columns are not those of the format
    is_csv: bool = False

    @property
    def is_foreign(self) -> bool:
        """Whether its rows can be read, and a person has to say which of its columns is which."""
        if self.bad or not self.rows or len(self.columns) > _MOST_COLUMNS:
            return False
        if self.header is not None or _is_half_a_probe(set(self.columns)):
            return True
        named = set(self.columns) - _OF_ANY
        return not self.is_csv and bool(named) and (not named <= FIELDS.keys() or _BEGINS.isdisjoint(named))


def _is_half_a_probe(columns: set[str]) -> bool:
    """Whether rows are meant as probes, and a field that every probe has is in none of them."""
    if "kind" in columns:
        return not {"text", "answer"} <= columns
    return {"text", "answer"} <= columns and columns.isdisjoint({"clean", "corrupted"})


def read_table(raw: bytes, source: str) -> Table:
    """A file's rows; `source` is its name, whose suffix tells CSV and Parquet, else it is JSON.

    Raises CorpusRefused for what is no text, or too much.
    """
    if len(raw) > MAX_BYTES:
        reason = f"the file is larger than {MAX_BYTES / 1e6:.0f} MB. Split it into several corpora"
        raise CorpusRefused(source, [BadLine(1, reason)])
    suffix = PurePath(source).suffix.lower()
    is_csv = suffix in CSV_SUFFIXES
    if suffix in PARQUET_SUFFIXES or raw.startswith(MAGIC):
        is_csv, (names, lines, bad) = False, parquet_lines(raw, max_rows=MAX_LINES, max_characters=MAX_BYTES)
    else:
        names, (lines, bad) = (), _text_lines(raw, source)
    bad += unseen(lines, escapes=not is_csv) or mixed_forms(lines, escapes=not is_csv)
    table = _csv(lines, bad) if is_csv else _json(names, lines, bad)
    if suffix not in (*CSV_SUFFIXES, *PARQUET_SUFFIXES, *JSON_SUFFIXES) and table.bad and not table.rows:
        reason = (
            f"the file’s name ends in “{suffix[:20]}”, so it is read as JSON, and it is none. Let the name of a table "
            "end in .csv; plain texts are one with “text” as the first line"
        )
        raise CorpusRefused(source, [BadLine(1, reason)])
    return table


def file_bytes(path: Path) -> bytes:
    """No more of it than shows that it is too large. Raises NotFound, InputError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("corpus file", str(path)) from None
    except OSError as error:
        raise InputError(f"“{path}” cannot be read: {error.strerror}. Give a JSONL, CSV or Parquet file.") from error


def _csv(lines: list[NumberedText], bad: list[BadLine]) -> Table:
    number, columns, rows, unread = csv_table(lines)
    reason = header_problem(columns) if columns else ""
    header = BadLine(number, reason) if reason else None
    return Table(columns, tuple(rows), (*bad, *unread), header, is_csv=True)


def _json(names: tuple[str, ...], lines: list[NumberedText], bad: list[BadLine]) -> Table:
    """`names`: those that are known beforehand."""
    rows, unread = json_rows(lines)
    columns = tuple(dict.fromkeys((*names, *(name for _, fields in rows for name in fields))))
    return Table(columns, tuple(rows), (*bad, *unread))


def _text_lines(raw: bytes, source: str) -> tuple[list[NumberedText], list[BadLine]]:
    for start, what in _NOT_TEXT.items():
        if raw.startswith(start):
            raise CorpusRefused(source, [BadLine(1, f"the file is {what}")])
    lines, bad = text_lines(raw)
    if not bad and not any(line.strip() for _, line in lines):
        raise CorpusRefused(source, [BadLine(1, "the file is empty; write one example, probe or pair a line")])
    _check_count(lines, bad, source)
    return lines, bad


def _check_count(lines: list[NumberedText], bad: Sequence[BadLine], source: str) -> None:
    n_lines = len(lines) + len(bad)
    if n_lines > MAX_LINES + 1 and not is_spread(lines):
        reason = f"the file has {n_lines:,} lines; {MAX_LINES:,} are allowed. Split it into several corpora"
        raise CorpusRefused(source, [BadLine(MAX_LINES + 1, reason)])
