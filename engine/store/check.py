"""`store check`: every artefact is read whole, and the index compared with the files."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from safetensors import SafetensorError, safe_open

from engine.domain.corpus import CorpusSpec, TaskSpec
from engine.domain.errors import Damaged
from engine.domain.jobs import JobRecord
from engine.store.acted_files import read_acted
from engine.store.catalogue import (
    read_annotations,
    read_automatic_labels,
    read_circuit,
    read_comparison,
    read_corpus,
    read_intervention,
    read_meta,
    read_model,
    read_run,
    read_series,
    read_study,
    read_taught,
)
from engine.store.component_files import read_components
from engine.store.feature_files import read_features
from engine.store.files import leftovers, read_json, read_text
from engine.store.graph_files import read_graph
from engine.store.infos import Problem
from engine.store.layout import ADDED, STATE, VOCABULARIES, Kind, StoredFile, inside, main_file, scan, step_of
from engine.store.pair_files import read_pair_measures
from engine.store.run_files import RECORDS, read_probes, read_state, referred_to

_log = logging.getLogger(__name__)
_MOST_MISSING = 100
PLAIN_FILES = ("weights.json", "weights.safetensors")


def check_shelf(shelf: Path, *, shelves: Sequence[Path]) -> Iterator[Problem]:
    """Everything on one shelf; what it refers to may lie on any of `shelves`."""
    for found in scan(shelf):
        yield from _going_on(found.path, check_artefact(shelf, found, shelves=shelves))
    yield from _without_main_file(shelf)
    for path in sorted((shelf / "base").glob("*.safetensors")):
        yield from _reading(path, _open_tensors)
    for path in sorted((shelf / VOCABULARIES).glob("*/*.safetensors")):
        yield from _reading(path, _open_tensors)
    for path in sorted((shelf / "jobs").glob("*.json")):
        yield from _reading(path, lambda path: read_json(path, JobRecord))
    for path in leftovers(shelf):
        yield Problem(path, "left unfinished by a killed process; opening the workspace removes it", "leftover")


def check_artefact(shelf: Path, found: StoredFile, *, shelves: Sequence[Path]) -> Iterator[Problem]:
    """One artefact, read whole."""
    checks: dict[Kind, Callable[[Path], Iterator[Problem]]] = {
        "corpus": _check_corpus,
        "model": lambda path: _reading(path, read_model),
        "run": lambda path: _check_run(path, shelves),
        "checkpoint": _check_checkpoint,
        "transcoders": _check_transcoders,
        "graph": lambda path: _reading(path, read_graph),
        "comparison": lambda path: _check_comparison(path, shelves),
        "features": lambda path: _reading(path, read_features),
        "intervention": lambda path: _reading(path, read_intervention),
        "annotations": lambda path: _reading(path, read_annotations),
        "series": lambda path: _reading(path, read_series),
        "study": lambda path: _reading(path, read_study),
        "components": lambda path: _reading(path, read_components),
        "circuit": lambda path: _reading(path, read_circuit),
        "acted": lambda path: _reading(path, read_acted),
        "pair": lambda path: _reading(path, read_pair_measures),
        "taught": lambda path: _reading(path, read_taught),
        "labels": lambda path: _reading(path, read_automatic_labels),
    }
    yield from _reading(found.path, lambda path: inside(shelf, path))
    yield from checks[found.kind](found.path)


def check_index(shelf: Path, stamps: Mapping[tuple[Kind, str], int]) -> Iterator[Problem]:
    """Differences between the files of a shelf and what the index knows of it."""
    found: dict[tuple[Kind, str], StoredFile] = {(f.kind, f.name): f for f in scan(shelf)}
    for key, one in found.items():
        if key not in stamps:
            yield Problem(one.path, "it is not in the index; store rebuild adds it", "index")
        elif stamps[key] != one.stamp:
            yield Problem(one.path, "it was changed after it was indexed; store rebuild updates it", "index")
    for key in stamps.keys() - found.keys():
        yield Problem(
            shelf / main_file(*key), "it is in the index, but not on the disk; store rebuild removes it", "index"
        )


def _reading(path: Path, read: Callable[[Path], object]) -> Iterator[Problem]:
    try:
        read(path)
    except Damaged as error:
        yield Problem(Path(error.path), error.reason)


def _going_on(path: Path, problems: Iterator[Problem]) -> Iterator[Problem]:
    """The check of one artefact ends where it cannot go on, with a problem; that of the others does not."""
    try:
        yield from problems
    except Exception as error:  # noqa: BLE001 - what no reader foresaw is what a check is for
        _log.exception("%s could not be checked", path)
        yield Problem(path, f"it cannot be checked ({type(error).__name__}: {error})")


def _open_tensors(path: Path) -> None:
    """The header is read and must cover the file's length exactly: a truncated file is found."""
    try:
        with safe_open(path, framework="np") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error


def _check_corpus(path: Path) -> Iterator[Problem]:
    yield from _reading(path, read_corpus)
    spec = path.with_name("spec.json")
    if spec.exists():
        yield from _reading(spec, _read_corpus_spec)


def _read_corpus_spec(path: Path) -> CorpusSpec | TaskSpec:
    """Only a task's spec says which task."""
    try:
        return read_json(path, TaskSpec)
    except Damaged:
        return read_json(path, CorpusSpec)


def _check_run(path: Path, shelves: Sequence[Path]) -> Iterator[Problem]:
    yield from _reading(path, read_run)
    for read in RECORDS:
        yield from _reading(path.parent, read)
    for folder in sorted((path.parent / "checkpoints").glob("*")):
        if not folder.name.startswith(".") and step_of(folder.name) is None:
            yield Problem(folder, "it is not a checkpoint: its name should be “step-” and six digits")
    for tensors in sorted((path.parent / "resume").rglob("*.safetensors")):
        yield from _reading(tensors, _open_tensors)
    try:
        config = read_run(path)
    except Damaged:
        return
    vocabulary = config.model.vocabulary
    if vocabulary and not any((shelf / VOCABULARIES / vocabulary / ADDED).is_file() for shelf in shelves):
        yield Problem(path, f"its vocabulary “{vocabulary}” is missing; import it again")
    corpus = _on(shelves, "corpus", config.corpus)
    if corpus is None:
        if not config.imported:
            yield Problem(path, f"its corpus “{config.corpus}” is missing")
    elif config.corpus_hash not in ("", _corpus_hash(corpus)):
        yield Problem(path, f"the corpus “{config.corpus}” has changed since it was trained")


def _check_checkpoint(path: Path) -> Iterator[Problem]:
    yield from _reading(path, read_state)
    yield from _reading(path.parent, read_probes)
    if step_of(path.parent.name) == 0:
        return
    # A checkpoint holds PEFT's adapter, or the weights of the model itself.
    files = ("adapter_config.json", "adapter_model.safetensors")
    about, tensors = PLAIN_FILES if path.with_name(PLAIN_FILES[0]).exists() else files
    yield from _reading(path.with_name(about), _read_adapter_config)
    if source := referred_to(path.parent):
        if not source.is_dir():
            yield Problem(source, f"it is not there, and {path.parent} refers to it")
        return
    yield from _reading(path.with_name(tensors), _open_tensors)


def _check_transcoders(path: Path) -> Iterator[Problem]:
    yield from _reading(path, read_meta)
    for tensors in sorted(path.parent.glob("*.safetensors")):
        yield from _reading(tensors, _open_tensors)
    try:
        meta = read_meta(path)
    except Damaged:
        return
    if not meta.scan:
        files = (path.parent / f"layer_{layer}.safetensors" for layer in range(meta.n_layers))
        for missing in islice((file for file in files if not file.exists()), _MOST_MISSING):  # it may say any number
            yield Problem(missing, "the file is missing")


def _check_comparison(path: Path, shelves: Sequence[Path]) -> Iterator[Problem]:
    yield from _reading(path, read_comparison)
    try:
        comparison = read_comparison(path)
    except Damaged:
        return
    for key in (comparison.graph_a, comparison.graph_b):
        if _on(shelves, "graph", key.hash) is None:
            yield Problem(path, f"its graph {key.hash} ({key.checkpoint}) is missing; compare again")


def _without_main_file(shelf: Path) -> Iterator[Problem]:
    """Folders that look like artefacts but lack the file that says what they are."""
    mains = {"corpora/*": "corpus.jsonl", "runs/*": "run.json", "transcoders/*": "set.json"}
    mains["runs/*/checkpoints/step-*"] = STATE
    for pattern, main in mains.items():
        for folder in sorted(shelf.glob(pattern)):
            if folder.is_dir() and not folder.name.startswith(".") and not (folder / main).exists():
                yield Problem(folder, f"it has no {main}")


def _on(shelves: Sequence[Path], kind: Kind, name: str) -> Path | None:
    paths = (shelf / main_file(kind, name) for shelf in shelves)
    return next((path for path in paths if path.exists()), None)


def _corpus_hash(path: Path) -> str:
    try:
        return read_corpus(path).hash
    except Damaged:  # reported with the corpus
        return ""


def _read_adapter_config(path: Path) -> None:
    try:
        json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise Damaged(path, f"it is not JSON ({error})") from error
