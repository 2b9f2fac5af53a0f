"""What was made once and is kept in memory: one budget in bytes for all of it. Plain: pages need no torch for it.

Counting entries would not bound anything: a comparison of two million edges is ten thousand times one of the demo.
"""

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, TypeVar

import numpy as np

from engine.store.memory import free_here

T = TypeVar("T")

VARIABLE: Final = "TRACELAPSE_KEEP_MB"
_SHARE: Final = 0.25  # of the memory that is free when the first thing is kept


def default_budget() -> int:
    """Bytes: what TRACELAPSE_KEEP_MB says, else a quarter of the memory that is free now."""
    try:
        return max(0, int(float(os.environ[VARIABLE]) * 1e6))
    except (KeyError, ValueError, OverflowError):
        return int(free_here() * _SHARE)


@dataclass(frozen=True)
class _Entry:
    value: Any
    n_bytes: int


class KeptValues:
    """Values by key that take at most `budget` bytes together; the one unused for longest goes first.

    A value is made once, by one thread, while others make theirs. One that alone is larger than the budget is given
    and not kept. Arrays that two values share count twice: the sum is never too low for it.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._n_bytes = 0
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, made now where it is not there. What `make` raises is passed on, and nothing is kept."""
        if (found := self._found(key)) is not None:
            return found.value
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            if (found := self._found(key)) is not None:  # another thread has just made it
                return found.value
            try:
                value = make()
                self._keep(key, _Entry(value, n_bytes_of(value)))
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def has(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._entries

    @property
    def n_bytes(self) -> int:
        """What is kept takes."""
        return self._n_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _found(self, key: Hashable) -> _Entry | None:
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        if entry.n_bytes > self.budget:
            return
        with self._lock:
            while self._entries and self._n_bytes + entry.n_bytes > self.budget:
                _, gone = self._entries.popitem(last=False)
                self._n_bytes -= gone.n_bytes
            self._entries[key] = entry
            self._n_bytes += entry.n_bytes


def n_bytes_of(value: object) -> int:
    """What a value takes in memory, with all that it refers to, each object once; classes and functions are nobody's.

    Of arrays and tables their data, of everything else what Python says of it.
    """
    seen: set[int] = set()
    total, left = 0, [value]
    while left:
        one = left.pop()
        if id(one) in seen or one is None or isinstance(one, type) or callable(one):
            continue
        seen.add(id(one))
        own, parts = _looked_at(one)
        total += own
        left.extend(parts)
    return total


def _looked_at(one: Any) -> tuple[int, Iterable[object]]:
    """(bytes of its own, what it refers to)."""
    if isinstance(one, np.ndarray):
        return one.nbytes, one.ravel().tolist() if one.dtype == object else ()
    if isinstance(one, (str, bytes, bytearray, int, float, complex, bool)):
        return sys.getsizeof(one), ()
    if hasattr(one, "memory_usage"):  # a table of pandas, a column or an index of one
        usage = one.memory_usage(deep=True)
        return int(usage if isinstance(usage, int) else usage.sum()), ()
    if isinstance(one, Mapping):
        return sys.getsizeof(one), [*one.keys(), *one.values()]
    if isinstance(one, Collection):
        return sys.getsizeof(one), one
    if is_dataclass(one):
        named = [getattr(one, field.name, None) for field in fields(one)]
        return sys.getsizeof(one), [*named, *getattr(one, "__dict__", {}).values()]
    return sys.getsizeof(one), list(getattr(one, "__dict__", {}).values())
