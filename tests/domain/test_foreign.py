"""What a library raises becomes ours, but for what is no fault of its input."""

import errno

import pytest

from engine.domain.errors import Canceled, Damaged, InputError
from engine.domain.foreign import is_out_of_memory, translated


class PanicException(BaseException):  # as pyo3 has it
    """Of native code."""


class OutOfMemoryError(RuntimeError):  # as torch has it
    """Of a GPU."""


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (ImportError("needs\n  bitsandbytes"), "needs bitsandbytes"),
        (AssertionError(), "AssertionError"),
        (PanicException("index out of range"), "index out of range"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
        (OverflowError("x" * 999), "x" * 300),
    ],
)
def test_theirs_becomes_ours(theirs: BaseException, said: str) -> None:
    with pytest.raises(Damaged) as caught, translated(lambda reason: Damaged("file", reason)):
        raise theirs
    assert said in str(caught.value)
    assert caught.value.__cause__ is theirs


@pytest.mark.parametrize(
    "passing",
    [
        InputError("ours"),
        Canceled(),
        KeyboardInterrupt(),
        SystemExit(),
        MemoryError(),
        OSError(errno.ENOMEM, "no memory"),
        OutOfMemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_what_is_no_fault_of_a_file_passes(passing: BaseException) -> None:
    with pytest.raises(type(passing)) as caught, translated(lambda reason: Damaged("file", reason)):
        raise passing
    assert caught.value is passing


def test_what_is_out_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not is_out_of_memory(OSError(errno.ENOENT, "no file"))
