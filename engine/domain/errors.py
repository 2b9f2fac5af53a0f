"""What can go wrong in a way that a user can fix.

TracelapseError
├── InputError            a value the user gave cannot be used
│   ├── NameRefused       a name that is empty, too long, or would be a path
│   ├── PromptRefused     empty, over-long, or with tokens the model does not know
│   ├── CorpusRefused     a corpus file with problems (all of them are listed)
│   └── ComparisonRefused two things that cannot be compared (different tokens, models or transcoder sets)
├── NotFound              a run, checkpoint, corpus, model or graph that does not exist
├── Damaged               a file that is there but cannot be read as what it should be
│   └── Lost              … because it is not there any more
├── ModelUnavailable      weights that cannot be had: no network, gated, unknown family
└── StorageFailed         the disk refuses to be written
    └── DiskFull          … because it is full

Each message says what happened with the value received, what is allowed, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.domain.numbers import plural

N_SHOWN = 10  # problems of a file that a message names


class TracelapseError(Exception):
    """Base of the tree; its text is shown to the user as it is."""


class InputError(TracelapseError):
    """A value the user gave cannot be used."""


class NameRefused(InputError):
    """A name that is empty, too long, or could be a path."""


class PromptRefused(InputError):
    """A prompt that the model cannot read."""


@dataclass(frozen=True)
class BadLine:
    """What is wrong with one line of a file: its number (from 1) and the reason. A line can have several."""

    number: int
    reason: str


class CorpusRefused(InputError):
    """A corpus file with problems; nothing of it was imported."""

    def __init__(self, source: str, bad_lines: Sequence[BadLine]) -> None:
        self.source, self.bad_lines = source, tuple(bad_lines)
        shown = "; ".join(f"line {bad.number}: {bad.reason}" for bad in self.bad_lines[:N_SHOWN])
        more = f"; and {len(self.bad_lines) - N_SHOWN:,} more" if len(self.bad_lines) > N_SHOWN else ""
        problems = plural(len(self.bad_lines), "problem")
        super().__init__(f"{source} cannot be used: {problems}, so nothing was imported. {shown}{more}")


class ComparisonRefused(InputError):
    """Two things that cannot be compared."""


class NotFound(TracelapseError):
    """Something named does not exist; the message lists what does."""

    def __init__(self, what: str, name: str, known: Sequence[str] = ()) -> None:
        self.what, self.name, self.known = what, name, tuple(known)
        more = f" and {len(self.known) - 24} more" if len(self.known) > 24 else ""
        there = f" Available: {', '.join(self.known[:24])}{more}." if self.known else " There are none yet."
        super().__init__(f"No {what} named “{name}”.{there}")


class Damaged(TracelapseError):
    """A file that is there but is not what it should be."""

    state = "is damaged"

    def __init__(self, path: Path | str, reason: str, remedy: str = "Delete it and create it again.") -> None:
        self.path, self.reason, self.remedy = str(path), reason, remedy
        super().__init__(f"{path} {self.state}: {reason}. {remedy}")


class Lost(Damaged):
    """A file that should be there and is not."""

    state = "cannot be found"


class ModelUnavailable(TracelapseError):
    """Weights that cannot be had here."""


class StorageFailed(TracelapseError):
    """The disk refuses to be written."""


class DiskFull(StorageFailed):
    """There is no room left on it."""


class Canceled(Exception):
    """Raised inside a job when its cancel token is set. Not an error: the user asked for it."""
