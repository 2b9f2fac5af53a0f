"""Reads a Parquet file from standard input and writes its columns' names and its rows as JSON, one a line.

A program of its own, for a file may crash the library that reads it, or ask it for any amount of memory. It imports
nothing of ours, and ends with 3 and one sentence where it reads no rows.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

MEMORY = 768 * 2**20  # bytes beyond what the library itself takes
REFUSED = 3
_ROWS_TOGETHER = 256


def main(max_rows: int, max_characters: int) -> None:
    """Rows without their empty cells; dates and the like as texts."""
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError:
        _refuse("is Parquet, which takes pyarrow to read, and that is not installed. Save it as CSV or JSONL")
    _bound_memory()
    try:
        file = parquet.ParquetFile(io.BytesIO(sys.stdin.buffer.read()))
        if file.metadata.num_rows > max_rows:
            _refuse(f"has {file.metadata.num_rows:,} rows; {max_rows:,} are allowed. Split it into several corpora")
        if twice := [name for name, n in Counter(file.schema_arrow.names).items() if n > 1]:
            _refuse(f"names the column “{twice[0][:40]}” twice. Name it anew")
        sys.stdout.write(json.dumps(file.schema_arrow.names) + "\n")
        written = 0
        for line in _lines(file):
            written += len(line)
            if written > max_characters:
                _refuse(f"holds more than {max_characters / 1e6:.0f} MB of text. Split it into several corpora")
            sys.stdout.write(line + "\n")
    except MemoryError:
        _refuse("takes more memory to read than its size explains, so it is not read")
    except Exception as error:  # noqa: BLE001  the library says “broken file” in any way
        _refuse(f"is not a Parquet file that can be read ({' '.join(str(error).split())[:200]})")


def _lines(file: Any) -> Iterator[str]:
    for batch in file.iter_batches(batch_size=_ROWS_TOGETHER, use_threads=False):
        for row in batch.to_pylist():
            yield json.dumps(_filled(row), ensure_ascii=False, default=_as_text)


def _filled(value: object) -> object:
    """Without what is missing, also within lists of objects."""
    if isinstance(value, dict):
        kept = ((str(key), one) for key, one in value.items() if one is not None and one == one)
        return {key: _filled(one) for key, one in kept}
    return [_filled(one) for one in value] if isinstance(value, list) else value


def _as_text(value: object) -> str:
    return f"[{len(value):,} bytes]" if isinstance(value, bytes) else str(value)


def _bound_memory() -> None:
    try:
        import resource

        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    except (ImportError, OSError, ValueError):  # not Linux: the limits of time and text are left
        return


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(reason)
    sys.exit(REFUSED)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogatepass")  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    main(int(sys.argv[1]), int(sys.argv[2]))
