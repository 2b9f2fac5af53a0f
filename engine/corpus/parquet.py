"""The rows of a Parquet file, as lines of JSON."""

import json
import subprocess
import sys
from pathlib import Path

from engine.corpus import parquet_child
from engine.corpus.text_lines import NumberedText
from engine.domain.errors import BadLine

MAGIC = b"PAR1"
_LIMIT_S = 30


def parquet_lines(
    raw: bytes, *, max_rows: int, max_characters: int
) -> tuple[tuple[str, ...], list[NumberedText], list[BadLine]]:
    """The columns, and one object a row, numbered from 1; or the reason why there are none.

    Read in a process with limits of time and memory, after a look at what the file says of its own size.
    """
    command = [sys.executable, "-I", str(Path(parquet_child.__file__)), str(max_rows), str(max_characters)]
    try:
        done = subprocess.run(  # noqa: S603  Python itself, and what it is given is data
            command, input=raw, capture_output=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return _refused(f"is Parquet that takes more than {_LIMIT_S} seconds to read. Save it as CSV or JSONL")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() if done.returncode == parquet_child.REFUSED else ""
        return _refused(said or "is Parquet that its library cannot read. Save it as CSV or JSONL")
    names, *lines = done.stdout.decode("utf-8", "surrogatepass").split("\n")[:-1]
    return tuple(json.loads(names)), list(enumerate(lines, start=1)), []


def _refused(reason: str) -> tuple[tuple[str, ...], list[NumberedText], list[BadLine]]:
    return (), [], [BadLine(1, reason)]
