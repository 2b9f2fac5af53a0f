"""What was made once and is kept in memory: one budget in bytes for all of it, models, corpora, comparisons, charts.

Counting entries would not bound anything: a comparison of two million edges is ten thousand times one of the demo.
Plain: pages need no torch for it.
"""

import gc
import os
import sys
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Final, Literal, TypeVar

import numpy as np

from engine.store.memory import free_here

T = TypeVar("T")

Holder = Literal["models", "corpora", "what pages show"]
VARIABLE: Final = "TRACELAPSE_KEEP_MB"
_SHARE: Final = 0.5  # of the memory that is free when the first thing is kept
_beginning = threading.Lock()  # two threads that come first get the same
_LARGE: Final = 50_000_000  # bytes: what is larger is worth being let go at once


def kept_values() -> "KeptValues":
    """Those of this process: jobs and pages share one budget."""
    with _beginning:
        return _of_process()


@cache
def _of_process() -> "KeptValues":
    return KeptValues(default_budget())


def default_budget() -> int:
    """Bytes: what TRACELAPSE_KEEP_MB says, else half of the memory that is free now."""
    try:
        return max(0, int(float(os.environ[VARIABLE]) * 1e6))
    except (KeyError, ValueError, OverflowError):
        return int(free_here() * _SHARE)


@dataclass(frozen=True)
class _Entry:
    value: Any  # of what is in use elsewhere, a weak reference
    n_bytes: int
    holder: Holder


class KeptValues:
    """Values by key that take at most `budget` bytes together; the one unused for longest goes first.

    A value is made once, by one thread, while others make theirs. What has to go from here while somebody still has it,
    as a job its model, is found again as long as they do: it takes that memory anyway, and must not be loaded twice.
    So is one that alone is larger than the budget. Arrays that two values share count twice: the sum is never too low
    for it.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._lock = threading.RLock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._n_bytes = 0  # of the entries
        self._in_use: dict[Hashable, _Entry] = {}  # no longer kept, but somebody had them then
        self._making: dict[Hashable, threading.Lock] = {}

    def get(
        self,
        key: Hashable,
        make: Callable[[], T],
        *,
        holder: Holder = "what pages show",
        size: Callable[[T], int] | None = None,
        expected: int = 0,
    ) -> T:
        """The value of `key`, made now where it is not there. What `make` raises is passed on, and nothing is kept.

        `size`: how many bytes the value takes, `n_bytes_of` where it is not given. `expected`: about how many; for so
        many room is made before, as both together could be too much.
        """
        if (found := self._found(key)) is not None:
            return found.value
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            if (found := self._found(key)) is not None:  # another thread has just made it
                return found.value
            try:
                self.let_go(self._n_bytes + expected - self.budget)
                value = make()
                self._keep(key, _Entry(value, (size or n_bytes_of)(value), holder))
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def has(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._entries

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._in_use.clear()
            self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """What is kept takes."""
        return self._n_bytes

    @property
    def n_bytes_in_use(self) -> int:
        """What is no longer kept takes while somebody still has it; it goes with them."""
        with self._lock:
            return sum(entry.n_bytes for entry in self._in_use.values() if entry.value() is not None)

    def by_holder(self) -> Mapping[Holder, int]:
        """`n_bytes`, the largest first."""
        found: Counter[Holder] = Counter()
        with self._lock:
            for entry in self._entries.values():
                found[entry.holder] += entry.n_bytes
        return dict(found.most_common())

    def __len__(self) -> int:
        return len(self._entries)

    def _found(self, key: Hashable) -> _Entry | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
            gone = self._in_use.pop(key, None)
            value = None if gone is None else gone.value()
            if gone is None or value is None:
                return None
            entry = _Entry(value, gone.n_bytes, gone.holder)
            self._keep(key, entry)
            return entry

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        with self._lock:
            if entry.n_bytes > self.budget:
                self._watch(key, entry)
                return
            self.let_go(self._n_bytes + entry.n_bytes - self.budget)
            self._entries[key] = entry
            self._n_bytes += entry.n_bytes

    def let_go(self, n_bytes: int) -> int:
        """What was not used for longest goes, until so many bytes have gone or nothing is left: work needs the memory.

        Returns how many have; what somebody still has is none of them.
        """
        gone: dict[Hashable, int] = {}
        with self._lock:
            while self._entries and sum(gone.values()) < n_bytes:
                key, entry = self._entries.popitem(last=False)
                self._n_bytes -= entry.n_bytes
                gone[key] = entry.n_bytes
                self._watch(key, entry)
                del entry
        if max(gone.values(), default=0) >= _LARGE:
            gc.collect()  # modules refer to each other in circles
        with self._lock:
            dead = [key for key, entry in self._in_use.items() if entry.value() is None]
            for key in dead:
                del self._in_use[key]
            return sum(of for key, of in gone.items() if key not in self._in_use)

    def _watch(self, key: Hashable, entry: _Entry) -> None:
        """It is known here as long as somebody else has it."""
        with suppress(TypeError):  # of a text, a list and the like that cannot be told
            self._in_use[key] = _Entry(weakref.ref(entry.value), entry.n_bytes, entry.holder)


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
