"""Where each artefact lies on a shelf, and the quick look at a shelf's files that keeps the index honest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
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
    if kind == "checkpoint":
        run, _, step = name.partition("/")
        return Path("runs", run, "checkpoints", step_folder(int(step)), STATE)
    return {
        "corpus": Path("corpora", name, "corpus.jsonl"),
        "model": Path("models", f"{name}.json"),
        "run": Path("runs", name, "run.json"),
        "transcoders": Path("transcoders", name, "set.json"),
        "graph": Path("graphs", f"{name}.safetensors"),
        "comparison": Path("comparisons", f"{name}.json"),
        "features": Path("features", f"{name}.safetensors"),
        "intervention": Path("interventions", f"{name}.json"),
        "annotations": Path("annotations", f"{name}.json"),
        "series": Path("series", f"{name}.json"),
        "study": Path("studies", name, "study.json"),
        "components": Path("components", f"{name}.safetensors"),
        "circuit": Path("circuits", f"{name}.json"),
        "acted": Path("acted", f"{name}.safetensors"),
        "pair": Path("pairs", f"{name}.safetensors"),
        "taught": Path("taught", f"{name}.json"),
        "labels": Path("labels", f"{name}.json.gz"),
    }[kind]


def scan(shelf: Path) -> Iterator[StoredFile]:
    """Every artefact on a shelf, by looking at names and times alone."""
    yield from _look(shelf, "corpus", _folders(shelf / "corpora"))
    yield from _look(shelf, "model", _files(shelf / "models", ".json"))
    for run in _folders(shelf / "runs"):
        yield from _look(shelf, "run", [run])
        steps = [step_of(folder) for folder in _folders(shelf / "runs" / run / "checkpoints", named=False)]
        yield from _look(shelf, "checkpoint", [f"{run}/{step}" for step in steps if step is not None])
    yield from _look(shelf, "transcoders", _folders(shelf / "transcoders"))
    yield from _look(shelf, "graph", _files(shelf / "graphs", ".safetensors"))
    yield from _look(shelf, "comparison", _files(shelf / "comparisons", ".json"))
    yield from _look(shelf, "features", _files(shelf / "features", ".safetensors"))
    yield from _look(shelf, "intervention", _files(shelf / "interventions", ".json"))
    yield from _look(shelf, "annotations", _files(shelf / "annotations", ".json"))
    yield from _look(shelf, "series", _files(shelf / "series", ".json"))
    yield from _look(shelf, "study", _folders(shelf / "studies"))
    yield from _look(shelf, "components", _files(shelf / "components", ".safetensors"))
    yield from _look(shelf, "circuit", _files(shelf / "circuits", ".json"))
    yield from _look(shelf, "acted", _files(shelf / "acted", ".safetensors"))
    yield from _look(shelf, "pair", _files(shelf / "pairs", ".safetensors"))
    yield from _look(shelf, "taught", _files(shelf / "taught", ".json"))
    yield from _look(shelf, "labels", _files(shelf / "labels", ".json.gz"))


def inside(shelf: Path, path: Path) -> Path:
    """`path` itself. Raises Damaged where a symbolic link leads out of the shelf."""
    if not path.resolve().is_relative_to(shelf.resolve()):
        raise Damaged(path, f"it points outside the workspace, to {path.resolve()}", "Copy the files instead.")
    return path


def _look(shelf: Path, kind: Kind, names: list[str]) -> Iterator[StoredFile]:
    for name in names:
        path = shelf / main_file(kind, name)
        try:
            yield StoredFile(kind, name, path, path.stat().st_mtime_ns)
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
