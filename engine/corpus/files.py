"""A user's corpus file: read whole or not at all, with every bad line named."""

import csv
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from engine.corpus.checks import NumberedLine, contains, line_problems
from engine.corpus.pairs import CountTokens
from engine.domain.corpus import Corpus, CorpusLine, Example, Pair, Probe
from engine.domain.errors import BadLine, CorpusRefused, InputError, NotFound
from engine.domain.names import check_name

MAX_BYTES = 20_000_000
MAX_LINES = 100_000
CSV_REQUIRED = ("text", "constraint_type", "constraint", "meaning")
CSV_OPTIONAL = ("template", "id")

_LINE: TypeAdapter[Example | Probe | Pair] = TypeAdapter(CorpusLine)


def read_corpus(path: Path, name: str, *, count_tokens: CountTokens | None = None) -> Corpus:
    """The corpus in a JSONL file (lines as `Corpus.to_jsonl` writes them) or a CSV file (training examples alone).

    The suffix decides: `.csv`, else JSONL. Examples come before probes and these before pairs, each in the order of
    the file. A line with `clean` and `corrupted` is a pair and may leave out `split` and `id`. Pairs are measured with
    `count_tokens`, as `line_problems` says. Raises CorpusRefused with every bad line, NotFound where there is no such
    file, NameRefused for a bad name.
    """
    check_name(name)
    lines, bad = _lines(path)
    read, unread = _read_csv(lines) if path.suffix.lower() == ".csv" else _read_jsonl(lines)
    bad += unread + line_problems(read, count_tokens=count_tokens)
    if not bad and not read:
        bad.append(BadLine(1, "the file holds no examples; a line is one example, probe or pair"))
    if bad:
        raise CorpusRefused(path.name, sorted(bad, key=lambda b: b.number))
    return Corpus.of(name, (item for _, item in read))


def _lines(path: Path) -> tuple[list[tuple[int, str]], list[BadLine]]:
    """The file's lines as text with their numbers; those that are not UTF-8 are bad."""
    raw = _bytes(path)
    if not raw.strip():
        raise CorpusRefused(path.name, [BadLine(1, "the file is empty; a line is one example, probe or pair")])
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # the byte order mark that spreadsheets write
    # Not splitlines(): it also cuts at characters that are legal within a JSON string.
    rows = raw.split(b"\n")
    if len(rows) > MAX_LINES + 1:
        reason = f"the file has {len(rows):,} lines; {MAX_LINES:,} are allowed. Split it into several corpora"
        raise CorpusRefused(path.name, [BadLine(MAX_LINES + 1, reason)])
    lines, bad = [], []
    for number, row in enumerate(rows, start=1):
        try:
            lines.append((number, row.removesuffix(b"\r").decode("utf-8")))
        except UnicodeDecodeError as error:
            bad.append(BadLine(number, f"is not UTF-8 (byte {row[error.start]:#04x} in column {error.start + 1})"))
    return lines, bad


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("corpus file", str(path)) from None
    except OSError as error:
        raise InputError(f"“{path}” cannot be read: {error.strerror}. Name a JSONL or CSV file.") from error
    if len(raw) > MAX_BYTES:
        reason = f"the file is larger than the {MAX_BYTES / 1e6:.0f} MB allowed. Split it into several corpora"
        raise CorpusRefused(path.name, [BadLine(1, reason)])
    return raw


def _read_jsonl(lines: list[tuple[int, str]]) -> tuple[list[NumberedLine], list[BadLine]]:
    read: list[NumberedLine] = []
    bad: list[BadLine] = []
    for number, line in lines:
        if not line.strip():
            continue
        try:
            read.append((number, _read_line(line, number)))
        except ValidationError as error:
            bad += [BadLine(number, reason) for reason in _reasons(error)]
    return read, bad


def _read_line(line: str, number: int) -> Example | Probe | Pair:
    """Raises ValidationError."""
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "union_tag_not_found":
            raise
        fields = from_json(line)
        if not {"clean", "corrupted"} & fields.keys():
            raise
        return _LINE.validate_python({"split": "pair", "id": f"pair-{number}"} | fields)


def _reasons(error: ValidationError) -> Iterator[str]:
    """Pydantic's findings in words that need no Python."""
    for finding in error.errors(include_url=False, include_context=False):
        field = ".".join(str(part) for part in finding["loc"][1:])
        given = repr(finding["input"])[:60]
        match finding["type"]:
            case "json_invalid":
                message = finding["msg"].removeprefix("Invalid JSON: ").replace("at line 1 column", "at column")
                yield f"is not JSON ({message})"
            case "union_tag_not_found" | "union_tag_invalid" | "model_attributes_type" | "dict_type":
                yield 'must be an object with "split": "train" or "split": "probe", or with “clean” and “corrupted”'
            case "missing":
                yield f"has no “{field}”"
            case "extra_forbidden":
                yield f"has an unknown field “{field}”"
            case _:
                yield f"“{field}” is {given}: {finding['msg']}"


def _read_csv(lines: list[tuple[int, str]]) -> tuple[list[NumberedLine], list[BadLine]]:
    numbers = [number for number, _ in lines] or [1]
    rows = csv.reader((line + "\n" for _, line in lines), strict=True)
    columns: list[str] | None = None
    read: list[NumberedLine] = []
    bad: list[BadLine] = []
    start = 0  # how many lines were taken before this row: a quoted field may run over several
    while True:
        number = numbers[min(start, len(numbers) - 1)]
        try:
            row = next(rows)
        except StopIteration:
            return read, bad
        except csv.Error as error:
            # Past a broken quote it is anybody's guess where a row begins.
            return read, [*bad, BadLine(number, f"is not CSV ({error}); nothing after it was read")]
        start = rows.line_num
        if not any(cell.strip() for cell in row):
            continue
        if columns is None:
            columns = [cell.strip() for cell in row]
            reason = _bad_header(columns)
            if reason:
                return read, [*bad, BadLine(number, reason)]
            continue
        try:
            read.append((number, _example(columns, row, number)))
        except ValidationError as error:
            bad += [BadLine(number, reason) for reason in _csv_reasons(error)]
        except ValueError as error:
            bad.append(BadLine(number, str(error)))


def _bad_header(columns: list[str]) -> str:
    allowed = f"The first line names the columns: {', '.join(CSV_REQUIRED)}, and if wanted {', '.join(CSV_OPTIONAL)}"
    missing = [column for column in CSV_REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in (*CSV_REQUIRED, *CSV_OPTIONAL)]
    if missing:
        return f"has no column {', '.join(missing)}. {allowed}"
    if unknown:
        return f"has an unknown column “{unknown[0][:40]}”. {allowed}"
    return f"names a column twice. {allowed}" if len(set(columns)) < len(columns) else ""


def _example(columns: list[str], row: list[str], number: int) -> Example:
    if len(row) != len(columns):
        raise ValueError(f"has {len(row)} cells where the first line names {len(columns)} columns")
    cells = dict(zip(columns, row, strict=True))
    return Example(
        id=cells.get("id") or f"train-{number}",
        text=cells["text"],
        constraint_type=cells["constraint_type"],
        constraint=cells["constraint"],
        meaning=cells["meaning"],
        template=cells.get("template") or _template(cells["text"], cells["constraint"], cells["meaning"]),
    )


def _template(text: str, constraint: str, meaning: str) -> str:
    """The text with its word and meaning taken out, where both can be found as they are written."""
    if constraint and contains(text, constraint):
        text = text.replace(constraint, "{w}")
    return text.replace(meaning, "{c}") if meaning else text


def _csv_reasons(error: ValidationError) -> Iterator[str]:
    for finding in error.errors(include_url=False, include_context=False):
        yield f"“{finding['loc'][0]}” is {finding['input']!r:.60}: {finding['msg']}"
