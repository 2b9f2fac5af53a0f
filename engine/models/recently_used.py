"""The last few things that were costly to make, shared by threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentlyUsed(Generic[T]):
    """At most `limit` values by key; the one unused for longest goes first. A value is made once, by one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, made now where it is not there. What `make` raises is passed on, and nothing is kept."""
        with self._lock:
            if key not in self._values:
                self._make_room()
                self._values[key] = make()
            self._values.move_to_end(key)
            return self._values[key]

    def _make_room(self) -> None:
        # Before the new value is made: models are large.
        while len(self._values) >= self._limit:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)
