"""What a kind of export file is: one record, which the export menu of a page and the command line both read.

A registry is a tuple of these records beside what is exported, as `pair_formats.PAIR_FORMATS`. Makers import what they
need when they are called: neither a page nor `--help` waits for pandas or networkx.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.domain.numbers import memory

Subject = TypeVar("Subject")
LARGE = 5_000_000  # bytes: smaller files are there at once


@dataclass(frozen=True)
class MenuEntry:
    """One line of the export menu."""

    label: str
    sentence: str  # what it is good for, in a few words
    suffix: str  # of the file's name
    side: str = ""  # one of the format's sides


@dataclass(frozen=True)
class ExportFormat(Generic[Subject]):
    """One kind of file. `Subject`: what is exported."""

    name: str  # on the command line
    endings: tuple[str, ...]  # of file names that ask for it, as `.svg`; empty: it must be named
    mime: str
    icon: str  # of Material Symbols
    make: Callable[[Subject, str], str | bytes]  # of one of `sides`
    menu: tuple[MenuEntry, ...]
    sides: tuple[str, ...] = ("",)  # what of the subject can be shown; the first one, where nothing is said
    about: Callable[[Subject, str], int] | None = None  # bytes, from a sample; of files that may be large


@dataclass(frozen=True)
class Download(Generic[Subject]):
    """A menu entry with its format: everything that a download button needs."""

    entry: MenuEntry
    format: ExportFormat[Subject]

    def make(self, subject: Subject) -> str | bytes:
        """The file's content."""
        return self.format.make(subject, self._side)

    def size(self, subject: Subject) -> str:
        """`About 58 MB.` of a large file; empty for any other. Nothing but a sample of it is made."""
        n_bytes = self.format.about(subject, self._side) if self.format.about else 0
        return f"About {memory(n_bytes)}." if n_bytes >= LARGE else ""

    @property
    def _side(self) -> str:
        return self.entry.side or self.format.sides[0]


def downloads(formats: Sequence[ExportFormat[Subject]]) -> list[Download[Subject]]:
    """All menu entries, in the order of the registry."""
    return [Download(entry, each) for each in formats for entry in each.menu]
