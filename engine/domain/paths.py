"""Paths as people write them."""

import os
from pathlib import Path

from engine.domain.errors import InputError

_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes; no common file system takes more, and asking for one is an OSError


def person_path(text: Path | str) -> Path:
    """The path that a person named, with `~` and `~name` as their folders; nothing is looked at on the disk.

    Raises InputError for a user that does not exist, and for what no file can be called.
    """
    try:
        path = Path(text).expanduser()
        raw = os.fsencode(path)
    except RuntimeError as error:
        raise InputError(f"There is no home folder for “{text}”. Write the whole path.") from error
    except UnicodeError as error:
        raise InputError(f"No file can be called {str(text)!r}: it holds half of a character.") from error
    if b"\0" in raw:
        raise InputError(f"No file can be called {str(text)!r}: it holds a zero byte.")
    if len(raw) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in raw.replace(b"\\", b"/").split(b"/")):
        raise InputError(f"No file can be called “{str(text)[:40]}…”: it is too long.")
    return path
