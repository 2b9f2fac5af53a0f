"""What pages make, between reruns and tabs: kept while it fits into the one budget of bytes of the process.

Streamlit's own caches count entries, and a comparison of two million edges is an entry.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

from engine.store.kept import kept_values

P = ParamSpec("P")
T = TypeVar("T")


def kept(spinner: str = "") -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates what makes a value that nobody changes: it is made once for equal arguments, while there is room.

    As in Streamlit's caches, arguments whose name begins with `_` are not looked at; the others must be hashable.
    `spinner`: what is shown while it is made.
    """

    def decorate(make: Callable[P, T]) -> Callable[P, T]:
        signature, own = inspect.signature(make), f"{make.__module__}.{make.__qualname__}"

        @wraps(make)
        def get(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs).arguments
            key = (own, *((name, value) for name, value in given.items() if not name.startswith("_")))
            if not spinner or kept_values().has(key):
                return kept_values().get(key, lambda: make(*args, **kwargs))
            with st.spinner(spinner):
                return kept_values().get(key, lambda: make(*args, **kwargs))

        return get

    return decorate
