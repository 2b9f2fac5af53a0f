"""A user's corpus file: read whole or not at all, with every problem named by its line."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from pydantic import ValidationError

from engine.corpus.blanks import with_blanks
from engine.corpus.checks import NumberedLine, line_problems
from engine.corpus.csv_rows import csv_rows
from engine.corpus.json_rows import json_rows
from engine.corpus.rows import Row, reasons, record
from engine.domain.continuation import Tokens
from engine.domain.corpus import Corpus
from engine.domain.errors import BadLine, CorpusRefused, InputError, NotFound
from engine.domain.names import check_name

MAX_BYTES = 20_000_000
MAX_LINES = 100_000
CSV_SUFFIXES = (".csv", ".tsv")
_NOT_TEXT = {  # how a file begins that is no UTF-8 text, and what it is
    b"PK\x03\x04": "a spreadsheet or a zip archive. Save it as CSV (UTF-8)",
    b"\x1f\x8b": "compressed. Unpack it first",
    b"\xff\xfe": "saved as UTF-16. Save it as UTF-8",
    b"\xfe\xff": "saved as UTF-16. Save it as UTF-8",
}


def read_corpus(path: Path, name: str, *, tokens: Tokens | None = None) -> Corpus:
    """The corpus in a file. Raises as `parse_corpus` does, and NotFound where there is no such file."""
    check_name(name)
    return parse_corpus(_bytes(path), path.name, name, tokens=tokens)


def parse_corpus(raw: bytes, source: str, name: str, *, tokens: Tokens | None = None) -> Corpus:
    """The corpus in a JSONL file (as `Corpus.to_jsonl` writes it) or a CSV file (as `corpus_csv` writes it).

    `source` is the file's name; its suffix decides: `.csv` and `.tsv`, else JSONL. Examples come before probes and
    these before pairs, each in the order of the file. Pairs are measured with `tokens`, as `line_problems` says.
    Raises CorpusRefused with every problem, NameRefused for a bad name.
    """
    check_name(name)
    lines, bad = _lines(raw, source)
    is_csv = PurePath(source).suffix.lower() in CSV_SUFFIXES
    rows, unread = csv_rows(lines) if is_csv else json_rows(lines)
    read, refused = _records(rows)
    said = with_blanks([line for _, line in read])
    read = [(number, line) for (number, _), line in zip(read, said, strict=True)]
    bad += [*unread, *refused, *line_problems(read, tokens=tokens)]
    if not bad and not read:
        bad.append(BadLine(1, "the file has no examples; write one example, probe or pair a line"))
    if bad:
        raise CorpusRefused(source, sorted(bad, key=lambda b: b.number))
    return Corpus.of(name, (item for _, item in read))


def _records(rows: Iterable[Row]) -> tuple[list[NumberedLine], list[BadLine]]:
    read: list[NumberedLine] = []
    bad: list[BadLine] = []
    for number, fields in rows:
        try:
            read.append((number, record(fields, number)))
        except ValidationError as error:
            bad += [BadLine(number, reason) for reason in reasons(error)]
        except InputError as error:
            bad.append(BadLine(number, str(error)))
    return read, bad


def _lines(raw: bytes, source: str) -> tuple[list[tuple[int, str]], list[BadLine]]:
    """The file's lines as text with their numbers, without their final newline; those that are not UTF-8 are bad."""
    if len(raw) > MAX_BYTES:
        reason = f"the file is larger than {MAX_BYTES / 1e6:.0f} MB. Split it into several corpora"
        raise CorpusRefused(source, [BadLine(1, reason)])
    for start, what in _NOT_TEXT.items():
        if raw.startswith(start):
            raise CorpusRefused(source, [BadLine(1, f"the file is {what}")])
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # the byte order mark that spreadsheets write
    if not raw.strip():
        raise CorpusRefused(source, [BadLine(1, "the file is empty; write one example, probe or pair a line")])
    # Not splitlines(): it also cuts at characters that are legal within a JSON string.
    rows = raw.split(b"\n")
    if len(rows) > MAX_LINES + 1:
        reason = f"the file has {len(rows):,} lines; {MAX_LINES:,} are allowed. Split it into several corpora"
        raise CorpusRefused(source, [BadLine(MAX_LINES + 1, reason)])
    lines, bad = [], []
    for number, row in enumerate(rows, start=1):
        try:
            lines.append((number, row.decode("utf-8")))
        except UnicodeDecodeError as error:
            bad.append(BadLine(number, f"is not UTF-8 (byte {row[error.start]:#04x} in column {error.start + 1})"))
    return lines, bad


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("corpus file", str(path)) from None
    except OSError as error:
        raise InputError(f"“{path}” cannot be read: {error.strerror}. Give a JSONL or CSV file.") from error
