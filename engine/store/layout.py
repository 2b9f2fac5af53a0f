"""Where each artefact lies on a shelf, and the quick look at a shelf's files that keeps the index honest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal, get_args

from engine.domain.errors import Damaged, NameRefused
from engine.domain.names import check_name

Kind = Literal[
    "corpus", "model", "run", "checkpoint", "transcoders", "graph", "comparison", "features", "intervention",
    "annotations", "series", "study", "components", "circuit", "acted", "pair", "taught",
    "labels",
]  # fmt: skip

KINDS: Final = frozenset(get_args(Kind))
STATE: Final = "state.json"  # what makes a folder a checkpoint
VOCABULARIES: Final = "vocabularies"  # folders of ADDED, ADDED_ROWS and a tokenizer's files, by name
ADDED: Final = "added.json"  # how many rows the base has of its own
ADDED_ROWS: Final = "rows.safetensors"  # of the tokens behind these

BUNDLED = Path(__file__).parents[2] / "data" / "demo"


@dataclass(frozen=True)
class StoredFile:
    """An artefact seen on a shelf by its main file, which is written last or renamed with its folder."""

    kind: Kind
    name: str  # a checkpoint's is RUN/STEP
    path: Path  # of the main file
    stamp: int  # its modification time in ns: tells whether the index is up to date


def step_folder(step: int) -> str:
    """`step-000075`"""
    return f"step-{step:06d}"


def step_of(folder: str) -> int | None:
    """The step of a checkpoint folder's name, or None where it is not one."""
    digits = folder.removeprefix("step-")
    return int(digits) if digits.isascii() and digits.isdigit() and folder == step_folder(int(digits)) else None


def main_file(kind: Kind, name: str) -> Path:
    """The main file of an artefact, relative to its shelf."""
    return Path(_main_file(kind, name))


def _main_file(kind: Kind, name: str) -> str:
    if kind == "checkpoint":
        run, _, step = name.partition("/")
        return f"runs/{run}/checkpoints/{step_folder(int(step))}/{STATE}"
    folder, after = _PLACES[kind]
    return f"{folder}/{name}{after}"


# Folder of a kind, and what follows a name there: a file of its own, or the main file in a folder.
_PLACES: Final[dict[Kind, tuple[str, str]]] = {
    "corpus": ("corpora", "/corpus.jsonl"),
    "model": ("models", ".json"),
    "run": ("runs", "/run.json"),
    "transcoders": ("transcoders", "/set.json"),
    "graph": ("graphs", ".safetensors"),
    "comparison": ("comparisons", ".json"),
    "features": ("features", ".safetensors"),
    "intervention": ("interventions", ".json"),
    "annotations": ("annotations", ".json"),
    "series": ("series", ".json"),
    "study": ("studies", "/study.json"),
    "components": ("components", ".safetensors"),
    "circuit": ("circuits", ".json"),
    "acted": ("acted", ".safetensors"),
    "pair": ("pairs", ".safetensors"),
    "taught": ("taught", ".json"),
    "labels": ("labels", ".json.gz"),
}


def scan(shelf: Path) -> Iterator[StoredFile]:
    """Every artefact on a shelf, by looking at names and times alone."""
    for kind, name, stamp in stamps_of(shelf):
        yield StoredFile(kind, name, shelf / main_file(kind, name), stamp)


def stamps_of(shelf: Path) -> Iterator[tuple[Kind, str, int]]:
    """(kind, name, stamp) of `scan`, without a path of each: opening a workspace looks at all of them."""
    for kind, (folder, after) in _PLACES.items():
        if not after.startswith("/"):
            yield from _look(shelf, kind, _files(shelf / folder, after))
            continue
        for name in _folders(shelf / folder):
            yield from _look(shelf, kind, [name])
            if kind == "run":
                steps = [step_of(one) for one in _folders(shelf / folder / name / "checkpoints", named=False)]
                yield from _look(shelf, "checkpoint", [f"{name}/{step}" for step in steps if step is not None])


def inside(shelf: Path, path: Path) -> Path:
    """`path` itself. Raises Damaged where a symbolic link leads out of the shelf."""
    if _has_link(shelf, path) and not path.resolve().is_relative_to(shelf.resolve()):
        raise Damaged(path, f"it points outside the workspace, to {path.resolve()}", "Copy the files instead.")
    return path


def _has_link(shelf: Path, path: Path) -> bool:
    """Whether anything below the shelf on the way to the path is a link: to look is a tenth of resolving both."""
    try:
        parts = path.relative_to(shelf).parts
    except ValueError:
        return True
    below = accumulate(parts, lambda at, part: f"{at}/{part}")
    return ".." in parts or any(os.path.islink(f"{shelf}/{at}") for at in below)  # noqa: PTH114


def _look(shelf: Path, kind: Kind, names: list[str]) -> Iterator[tuple[Kind, str, int]]:
    for name in names:
        try:
            # A Path of each would take twice as long.
            yield kind, name, os.stat(f"{shelf}/{_main_file(kind, name)}").st_mtime_ns  # noqa: PTH116
        except OSError:  # a folder without its main file is no artefact; check() reports it
            continue


def _folders(folder: Path, *, named: bool = True) -> list[str]:
    return sorted(e.name for e in _entries(folder) if e.is_dir() and (not named or _is_name(e.name)))


def _files(folder: Path, suffix: str) -> list[str]:
    stems = [e.name.removesuffix(suffix) for e in _entries(folder) if e.name.endswith(suffix)]
    return sorted(stem for stem in stems if _is_name(stem))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:  # there is none, or it may not be read: nothing in it can be listed
        return []


def _is_name(name: str) -> bool:
    try:
        return bool(check_name(name))
    except NameRefused:
        return False
