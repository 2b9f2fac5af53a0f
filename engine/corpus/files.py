"""A user's corpus file: read whole or not at all, with every problem named by its line."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from engine.corpus.blanks import with_blanks
from engine.corpus.checks import NumberedLine, line_problems
from engine.corpus.columns import Columns
from engine.corpus.csv_rows import typed_fields
from engine.corpus.rows import Row, reasons, record
from engine.corpus.tables import Table, file_bytes, read_table
from engine.domain.continuation import Tokens
from engine.domain.corpus import Corpus
from engine.domain.errors import BadLine, CorpusRefused, InputError
from engine.domain.names import check_name


def read_corpus(path: Path, name: str, *, tokens: Tokens | None = None, columns: Columns | None = None) -> Corpus:
    """The corpus in a file. Raises as `parse_corpus` does, and NotFound where there is no such file."""
    check_name(name)
    return parse_corpus(file_bytes(path), path.name, name, tokens=tokens, columns=columns)


def parse_corpus(
    raw: bytes, source: str, name: str, *, tokens: Tokens | None = None, columns: Columns | None = None
) -> Corpus:
    """The corpus in a CSV file (as `corpus_csv` writes it), a JSONL file (as `Corpus.to_jsonl` does) or a Parquet file.

    `source` is the file's name; its suffix decides, as `read_table` says. `columns`: which of its columns are which,
    where they have other names. Raises as `corpus_from`, NameRefused for a bad name.
    """
    check_name(name)
    return corpus_from(read_table(raw, source), source, name, tokens=tokens, columns=columns)


def corpus_from(
    table: Table, source: str, name: str, *, tokens: Tokens | None = None, columns: Columns | None = None
) -> Corpus:
    """Examples come before probes and these before pairs, each in the order of the file. Pairs are measured with
    `tokens`, as `line_problems` says.

    Raises CorpusRefused with every problem, InputError for columns that there are not.
    """
    rows, unread = _rows(table) if columns is None else columns.applied(table)
    read, refused = _records(rows)
    said = with_blanks([line for _, line in read])
    read = [(number, line) for (number, _), line in zip(read, said, strict=True)]
    bad = [*table.bad, *unread, *refused, *line_problems(read, tokens=tokens)]
    if not bad and not read:
        bad.append(BadLine(1, "the file has no examples; write one example, probe or pair a line"))
    if bad:
        raise CorpusRefused(source, sorted(bad, key=lambda b: b.number))
    return Corpus.of(name, (item for _, item in read))


def _rows(table: Table) -> tuple[list[Row], list[BadLine]]:
    """By the columns' own names."""
    if table.header:
        return [], [table.header]
    return [(number, typed_fields(fields) if table.is_csv else fields) for number, fields in table.rows], []


def _records(rows: Iterable[Row]) -> tuple[list[NumberedLine], list[BadLine]]:
    read: list[NumberedLine] = []
    bad: list[BadLine] = []
    for number, fields in rows:
        try:
            read.append((number, record(fields, number)))
        except ValidationError as error:
            bad += [BadLine(number, reason) for reason in reasons(error, fields)]
        except InputError as error:
            bad.append(BadLine(number, str(error)))
    return read, bad
