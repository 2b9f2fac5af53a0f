"""The large libraries that every model needs, imported once and without looking for garbage, then or later."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NEEDED = "engine.models.sharing"  # and with it torch and transformers; PEFT comes with the first adapter


def load_libraries() -> None:
    """Nothing is done where they are there."""
    if _NEEDED not in sys.modules:
        with made_to_stay():
            importlib.import_module(_NEEDED)


@contextmanager
def made_to_stay() -> Iterator[None]:
    """Around imports: what they make, half a million objects with torch, stays as long as the process does.

    To look through them for what nobody has any more takes half a second each time: while they are made, whenever much
    else was made, and twice more when the process ends.
    """
    was_enabled = gc.isenabled()
    gc.collect()  # what nobody has by now is not to stay
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
