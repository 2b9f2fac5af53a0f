"""The lines of a JSONL file."""

from collections.abc import Iterable

from pydantic_core import from_json

from engine.corpus.rows import Row
from engine.domain.errors import BadLine


def json_rows(lines: Iterable[tuple[int, str]]) -> tuple[list[Row], list[BadLine]]:
    """One JSON object a line; blank lines are skipped."""
    rows: list[Row] = []
    bad: list[BadLine] = []
    for number, line in lines:
        if not line.strip():
            continue
        try:
            fields = from_json(line)
        except ValueError as error:
            bad.append(BadLine(number, f"is not JSON ({str(error).replace('at line 1 column', 'at column')})"))
            continue
        if isinstance(fields, dict):
            rows.append((number, fields))
        else:
            bad.append(BadLine(number, "is not a JSON object; write one {…} a line"))
    return rows, bad
