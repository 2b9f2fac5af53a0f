"""The objects of a JSONL file, of one array, or one behind the other over any lines."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from engine.corpus.format import FIELDS
from engine.corpus.rows import Row
from engine.corpus.text_lines import NumberedText
from engine.domain.errors import BadLine

_MENDS = {
    "key must be a string": "Write keys and texts in double quotes, as json.dumps does",
    "trailing comma": "Delete the comma",
    "hex escape": "Write the character itself, or both halves of it",
    "surrogate": "Write the character itself, or both halves of it",
}
_OF_TURNS = {"role", "content", "from", "value"}  # of chats, which are lists of objects, too
_SPACE = re.compile(r"[\s,]*")


class _Twice(ValueError):
    """A key that an object has twice."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


class _NoObject(ValueError):
    """JSON, but not an example, probe or pair."""


def json_rows(lines: Sequence[NumberedText]) -> tuple[list[Row], list[BadLine]]:
    """One JSON object a line, blank lines skipped; or objects over any lines, in an array or not. A comma may follow
    each."""
    if is_spread(lines):
        return _spread_rows(lines)
    rows: list[Row] = []
    bad: list[BadLine] = []
    for number, line in lines:
        text = line.rstrip()
        text = text[:-1] if text.endswith("},") else text
        if not text:
            continue
        try:
            rows.append((number, _object(text)))
        except ValueError as error:
            bad.append(BadLine(number, _reason(error, text)))
    return rows, bad


def is_spread(lines: Sequence[NumberedText]) -> bool:
    """Whether a file is one array, or indented objects: its lines are not its objects."""
    first = next((line.strip() for _, line in lines if line.strip()), "")
    return first.startswith("[") or first == "{"


def _spread_rows(lines: Sequence[NumberedText]) -> tuple[list[Row], list[BadLine]]:
    """Each with the line on which it begins. What is broken is told; nothing after it is read."""
    text = "\n".join(line for _, line in lines)
    numbers = [number for number, _ in lines]
    rows: list[Row] = []
    in_array = text.lstrip().startswith("[")
    at, line, counted = text.index("[") + 1 if in_array else 0, 0, 0
    decoder = json.JSONDecoder()
    while True:
        at = _end(_SPACE.match(text, at))
        line, counted = line + text.count("\n", counted, at), at
        if at == len(text) and not in_array:
            return rows, []
        if text[at : at + 1] == "]" and in_array:
            rest = text[at + 1 :].strip()
            return rows, [BadLine(numbers[line], "has more behind the end of the array. Delete it")] if rest else []
        try:
            _, end = decoder.raw_decode(text, at)
            rows.append((numbers[line], _object(text[at:end])))
        except (ValueError, RecursionError) as error:
            where = error.pos if isinstance(error, json.JSONDecodeError) else at
            said = (
                f"is not JSON ({error.msg})" if isinstance(error, json.JSONDecodeError) else _reason(error, text[at:])
            )
            broken = numbers[min(text.count("\n", 0, where), len(numbers) - 1)]
            return rows, [BadLine(broken, f"{said}; nothing after it was read")]
        at = end


def _object(text: str) -> dict[str, Any]:
    """Raises ValueError: no JSON, no object, or one with a key twice."""
    fields = from_json(text)
    if not isinstance(fields, dict):
        raise _NoObject("is not a JSON object; write one {…} a line")
    json.loads(text, object_pairs_hook=_once)
    if table := _table_in(fields):
        raise _NoObject(table)
    return fields


def _is_of_tables(fields: dict[str, Any]) -> bool:
    """Whether every value is a table of its own, as pandas writes a column by the numbers of its rows; in a row of the
    format's fields nested objects are mistakes of these fields."""
    tables = list(fields.values())
    if not all(isinstance(table, dict) for table in tables):
        return False
    return fields.keys().isdisjoint(FIELDS) or all(label.isdigit() for table in tables for label in table)


def _table_in(fields: dict[str, Any]) -> str:
    """What to do with an object that holds a whole table, by rows or by columns; empty of one that is a row."""
    for name, value in fields.items():
        rows = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
        if rows and not any(row.keys() & _OF_TURNS for row in rows):
            return f"has its rows in “{name[:40]}”. Write these objects alone, one a line or as one array"
    values = list(fields.values())
    by_column = all(
        isinstance(value, list) and value and not any(isinstance(one, dict) for one in value) for value in values
    )
    if values and (by_column or _is_of_tables(fields)):
        return "has columns instead of rows. Write an object a row (pandas: orient=“records”)"
    return ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for place, key in enumerate(keys) if key in keys[:place]))
    return found


def _reason(error: Exception, text: str) -> str:
    if isinstance(error, _Twice):
        places = [match.start() + 1 for match in re.finditer(re.escape(json.dumps(error.key)[1:-1]) + r'"\s*:', text)]
        column = f" (again in column {places[1] - 1})" if len(places) > 1 else ""
        return f"has the key “{error.key[:40]}” twice{column}. Delete one of them"
    if isinstance(error, _NoObject):
        return str(error)
    said = str(error).replace("at line 1 column", "at column")
    mend = next((f". {mend}" for sign, mend in _MENDS.items() if sign in said), "")
    return f"is not JSON ({said}){mend}"


def _end(match: "re.Match[str] | None") -> int:
    assert match is not None  # it may be empty
    return match.end()
