"""What a GGUF file says it holds, without its weights: read in a process of its own, so a hostile file harms nobody.

The process is Python alone, with bounds of time and memory. What it tells is held to the file's own size there: every
count that a header names takes bytes, and no more can be there than the file has.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.domain.errors import Damaged
from engine.models.apart import apart

LIMIT_S: Final = 5.0
MEMORY: Final = 200_000_000  # bytes
_AGAIN: Final = "Download the file again."
# More than any tokenizer of today: 262,144 tokens with scores, kinds and twice as many merges. The reader of the `gguf`
# package makes several objects of each.
_LIMITS: Final = {"fields": 4096, "tensors": 20_000, "elements": 2_000_000, "name": 65_535, "told": 4096}
_CODE: Final = r"""
import os, struct
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST, WINDOW = 8, 9, 1 << 20


class Wrong(Exception):
    pass


class Cursor:
    def __init__(self, file, size):
        self.file, self.size, self.at, self.start, self.held = file, size, 0, 0, b""

    def skip(self, n):
        if n > self.size - self.at:
            raise Wrong(f"at byte {self.at:,} it names {n:,} bytes more, and the file has {self.size - self.at:,}")
        self.at += n

    def take(self, n):
        first = self.at
        self.skip(n)
        if first < self.start or self.at > self.start + len(self.held):
            self.file.seek(first)
            self.start, self.held = first, self.file.read(max(n, WINDOW))
        return self.held[first - self.start : self.at - self.start]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def name(self):
        n = self.number("Q")
        if n > given["name"]:
            raise Wrong(f"at byte {self.at:,} there is a name of {n:,} bytes")
        return self.take(n).decode("utf-8", "replace")

    def text(self):
        n = self.number("Q")
        first = self.at
        self.skip(n)
        self.at = first
        said = self.take(min(n, given["told"])).decode("utf-8", "replace")
        self.at = first + n
        return said


def value(cursor, kind, fields, lists, key, left):
    if kind in FORMS:
        fields[key] = cursor.number(FORMS[kind])
    elif kind == TEXT:
        fields[key] = cursor.text()
    elif kind == LIST:
        inner, n = cursor.number("I"), cursor.number("Q")
        if n > left:
            raise Wrong(f"{key} is a list of {n:,}, more than is read")
        lists[key] = n
        if inner in SIZES:
            cursor.skip(n * SIZES[inner])
        elif inner == TEXT:
            for _ in range(n):
                cursor.skip(cursor.number("Q"))
        else:
            raise Wrong(f"{key} is a list of what is not known ({inner})")
        return n
    else:
        raise Wrong(f"{key} is of a kind that is not known ({kind})")
    return 0


def read(cursor):
    if cursor.take(4) != b"GGUF":
        raise Wrong("it does not begin as a GGUF file")
    version = cursor.number("I")
    if version not in (2, 3):
        raise Wrong(f"it is of version {version}; versions 2 and 3 are read")
    n_tensors, n_fields = cursor.number("Q"), cursor.number("Q")
    for n, what in ((n_tensors, "tensors"), (n_fields, "fields")):
        if n > given[what]:
            raise Wrong(f"it names {n:,} {what}; at most {given[what]:,} are read")
    fields, lists, tensors, left = {}, {}, [], given["elements"]
    for _ in range(n_fields):
        key = cursor.name()
        if key in fields or key in lists:
            raise Wrong(f"it names {key} twice")
        left -= value(cursor, cursor.number("I"), fields, lists, key, left)
    for _ in range(n_tensors):
        name, n_sides = cursor.name(), cursor.number("I")
        if n_sides > 4:
            raise Wrong(f"{name} has {n_sides:,} sides")
        sides = [cursor.number("Q") for _ in range(n_sides)]
        tensors.append((name, sides, cursor.number("I"), cursor.number("Q")))
    return {"fields": fields, "lists": lists, "tensors": tensors, "n_bytes": cursor.size}


try:
    with open(given["file"], "rb") as file:
        said = read(Cursor(file, os.fstat(file.fileno()).st_size))
except Wrong as error:
    said = {"wrong": str(error)[:300]}
except (OSError, struct.error) as error:
    said = {"wrong": f"it cannot be read: {error}"[:300]}
print(json.dumps(said))
"""


@dataclass(frozen=True)
class GgufTensor:
    """`shape` as torch has it: GGUF writes it the other way round. `kind`: the number of its quantisation."""

    name: str
    shape: tuple[int, ...]
    kind: int

    @property
    def n_numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """`fields`: single values by name, texts cut at 4,096 bytes; `lists`: how many elements each has."""

    fields: Mapping[str, object]
    lists: Mapping[str, int]
    tensors: tuple[GgufTensor, ...]
    n_bytes: int  # of the whole file

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    def of_architecture(self) -> dict[str, object]:
        """The model's own fields, without the architecture's name before them; a list is told by `[]`."""
        start = f"{self.architecture}."
        found = dict(self.fields) | {name: [] for name in self.lists}
        return {name.removeprefix(start): value for name, value in found.items() if name.startswith(start)}


def gguf_header(file: Path) -> GgufHeader:
    """Raises Damaged for a file that is none, or names more than it can hold or than is read."""
    try:
        ended = apart(_CODE, {"file": str(file), **_LIMITS}, limit_s=LIMIT_S, n_bytes=MEMORY)
    except OSError as error:
        raise Damaged(file, f"no process can be started to read it ({error})", "Try again.") from error
    if why := ended.why or (ended.said or {"wrong": "it says nothing"}).get("wrong", ""):
        raise Damaged(file, why, _AGAIN)
    tensors = tuple(GgufTensor(name, tuple(reversed(sides)), kind) for name, sides, kind, _ in ended.said["tensors"])
    return GgufHeader(ended.said["fields"], ended.said["lists"], tensors, ended.said["n_bytes"])
