"""What a kind of export file is: one record, which the export menu of a page and the command line both read.

A registry is a tuple of these records beside what is exported, as `pair_formats.PAIR_FORMATS`. Makers import what they
need when they are called: neither a page nor `--help` waits for pandas or networkx.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


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


@dataclass(frozen=True)
class Download(Generic[Subject]):
    """A menu entry with its format: everything that a download button needs."""

    entry: MenuEntry
    format: ExportFormat[Subject]

    def make(self, subject: Subject) -> str | bytes:
        """The file's content."""
        return self.format.make(subject, self.entry.side or self.format.sides[0])


def downloads(formats: Sequence[ExportFormat[Subject]]) -> list[Download[Subject]]:
    """All menu entries, in the order of the registry."""
    return [Download(entry, each) for each in formats for entry in each.menu]
