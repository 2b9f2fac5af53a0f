"""A user's corpus file: read whole or not at all, with every problem named by its line."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from pydantic import ValidationError

from engine.corpus.blanks import with_blanks
from engine.corpus.checks import NumberedLine, line_problems
from engine.corpus.csv_rows import csv_rows
from engine.corpus.json_rows import is_array, json_rows
from engine.corpus.rows import Row, reasons, record
from engine.corpus.text_lines import MAX_LINES, NumberedText, text_lines
from engine.corpus.unseen import mixed_forms, unseen
from engine.domain.continuation import Tokens
from engine.domain.corpus import Corpus
from engine.domain.errors import BadLine, CorpusRefused, InputError, NotFound
from engine.domain.names import check_name

MAX_BYTES = 20_000_000
CSV_SUFFIXES = (".csv", ".tsv")
_NOT_TEXT = {  # how a file begins that is no text, and what it is
    b"PK\x03\x04": "a spreadsheet or a zip archive. Save it as CSV (UTF-8)",
    b"\x1f\x8b": "compressed. Unpack it first",
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
    bad += unseen(lines, escapes=not is_csv) or mixed_forms(lines, escapes=not is_csv)
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


def _lines(raw: bytes, source: str) -> tuple[list[NumberedText], list[BadLine]]:
    """The file's lines, and those that cannot be read. Raises CorpusRefused for what is no text, or too much."""
    if len(raw) > MAX_BYTES:
        reason = f"the file is larger than {MAX_BYTES / 1e6:.0f} MB. Split it into several corpora"
        raise CorpusRefused(source, [BadLine(1, reason)])
    for start, what in _NOT_TEXT.items():
        if raw.startswith(start):
            raise CorpusRefused(source, [BadLine(1, f"the file is {what}")])
    lines, bad = text_lines(raw)
    if not bad and not any(line.strip() for _, line in lines):
        raise CorpusRefused(source, [BadLine(1, "the file is empty; write one example, probe or pair a line")])
    n_lines = len(lines) + len(bad)
    if n_lines > MAX_LINES + 1 and not is_array(lines):
        reason = f"the file has {n_lines:,} lines; {MAX_LINES:,} are allowed. Split it into several corpora"
        raise CorpusRefused(source, [BadLine(MAX_LINES + 1, reason)])
    return lines, bad


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("corpus file", str(path)) from None
    except OSError as error:
        raise InputError(f"“{path}” cannot be read: {error.strerror}. Give a JSONL or CSV file.") from error
