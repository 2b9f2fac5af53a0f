"""JSON text in blocks, so that a table of 150,000 rows is never one text in memory."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

_ROWS = 10_000  # of a table that are written at once


@runtime_checkable
class _DataFrame(Protocol):
    """pandas' own, which is not imported for those who print none."""

    def __len__(self) -> int: ...

    @property
    def iloc(self) -> Any: ...


def json_blocks(data: object) -> Iterator[str]:
    """What makes a JSON file. NaN and infinities become null.

    A data frame in a mapping is a list of records; floats in it have up to 15 decimals.
    """
    if not isinstance(data, Mapping) or not any(isinstance(value, _DataFrame) for value in data.values()):
        yield json.dumps(_finite(data), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        return
    for number, (key, value) in enumerate(data.items()):
        yield f"{',' if number else '{'}\n {json.dumps(key)}: "
        if isinstance(value, _DataFrame):
            yield "["
            for start in range(0, len(value), _ROWS):
                rows = value.iloc[start : start + _ROWS].to_json(orient="records", double_precision=15)
                yield ("," if start else "") + rows[1:-1]
            yield "]"
        else:
            yield json.dumps(_finite(value), ensure_ascii=False, indent=1, allow_nan=False)
    yield "\n}\n"


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
