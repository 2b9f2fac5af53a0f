"""What other people's libraries raise, as one of our errors."""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from engine.domain.errors import Canceled, Damaged, InputError, ModelUnavailable, TracelapseError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translated(ours: Callable[[str], TracelapseError]) -> Iterator[None]:
    """Whatever a library raises becomes `ours`, which is given what it said; put it around the library's call alone.

    Loaders say “broken file” in every way there is, down to a failed import and a panic of native code. Our own errors,
    a cancel, Ctrl-C, refused memory and a full disk, which are no fault of a file, pass through.
    """
    try:
        yield
    except (TracelapseError, Canceled):
        raise
    except BaseException as error:
        is_theirs = isinstance(error, Exception) or type(error).__name__ == "PanicException"  # pyo3's
        if not is_theirs or is_out_of_memory(error) or is_disk_full(error):
            raise
        raise ours(one_line(error)) from error


@contextmanager
def renamed(words: Mapping[str, str]) -> Iterator[None]:
    """Our errors about a copy, or a folder in a cache, speak of what the person named: each key becomes its value."""

    def said(text: str) -> str:
        for place, name in words.items():
            text = text.replace(place, name)
        return text

    try:
        yield
    except Damaged as error:
        raise type(error)(said(error.path), said(error.reason), said(error.remedy)) from error
    except (InputError, ModelUnavailable) as error:
        if (told := said(str(error))) == str(error):
            raise
        raise (ModelUnavailable if isinstance(error, ModelUnavailable) else InputError)(told) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Of Python, the system, torch's own on a processor (a plain RuntimeError) or on a GPU."""
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def is_disk_full(error: BaseException) -> bool:
    """Libraries wrap the system's error in their own (safetensors writes through Rust), hence the look at the text."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return "No space left on device" in str(error) or "StorageFull" in str(error)


def one_line(error: BaseException) -> str:
    """What a library's error says, on one short line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
