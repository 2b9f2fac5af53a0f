"""Whether runs began from one base model, told before anything is loaded: without torch."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from engine.domain.errors import TracelapseError
from engine.domain.models import ModelSpec
from engine.store import Store
from engine.workflows.model_facts import folder_here
from engine.workflows.same_tokenizer import read_differently

_PIECES, _PIECE = 16, 4096  # of a file of weights that are looked at, and bytes in each; two models differ in them


def why_not_comparable(store: Store, run: str, other: str) -> str:
    """Why checkpoints of two runs cannot be compared: they surely began from two models, or read texts differently.
    Empty where they began from one, as far as can be seen without loading it: the job looks at all of it.

    Raises NotFound, Damaged.
    """
    one, two = store.run(run).model, store.run(other).model
    return refusal(run, one, other, two) if _surely_others(store, one, two) else ""


def comparable(store: Store, run: str, runs: Iterable[str]) -> list[str]:
    """Those of `runs` whose checkpoints can be compared with this run's. Raises NotFound, Damaged."""
    specs = {info.name: info.config.model for info in store.runs()}  # of the index: there may be hundreds
    own = store.run(run).model
    others = {named(spec): _surely_others(store, own, spec) for spec in {named(s): s for s in specs.values()}.values()}
    return [name for name in runs if name in specs and not others[named(specs[name])]]


def refusal(run: str, model: ModelSpec, other: str, its: ModelSpec) -> str:
    """For people, with the way out."""
    return (
        f"“{run}” was trained on {_described(model)}, “{other}” on {_described(its)}: another model or another "
        "tokenizer. Compare checkpoints of one base model."
    )


def named(spec: ModelSpec) -> tuple[str, ...]:
    """Equal for specs of one model, though the same model may also have another name."""
    return spec.source, spec.location, spec.vocabulary


def added_rows(spec: ModelSpec) -> str:
    """Tells the rows that were added to a base from others; empty where there are none."""
    return spec.vocabulary.partition("-")[0].strip("0")


def _surely_others(store: Store, one: ModelSpec, other: ModelSpec) -> bool:
    if named(one) == named(other):
        return False
    if added_rows(one) != added_rows(other) or _differ(_where(store, one), _where(store, other)):
        return True
    read = _tokenizer(store, one), _tokenizer(store, other)
    return read[0] is not None and read[1] is not None and read_differently(read[0], read[1])


def _where(store: Store, spec: ModelSpec) -> Path | None:
    try:
        return folder_here(store, spec)
    except TracelapseError:
        return None


def _tokenizer(store: Store, spec: ModelSpec) -> Path | None:
    try:
        own = store.vocabulary_folder(spec)
    except TracelapseError:
        return None
    return own if own and (own / "tokenizer.json").is_file() else _where(store, spec)


def _differ(one: Path | None, other: Path | None) -> bool:
    """Whether the weights in two folders surely differ; False where one of them is not here."""
    if one is None or other is None:
        return False
    try:
        pieces = [tuple(_pieces_in(file) for file in sorted(folder.glob("*.safetensors"))) for folder in (one, other)]
    except OSError:
        return False
    return all(pieces) and pieces[0] != pieces[1]


def _pieces_in(file: Path) -> tuple[int, bytes]:
    about = file.stat()
    return about.st_size, _read(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _read(file: Path, size: int, _time: int) -> bytes:
    with file.open("rb") as opened:
        found = bytearray()
        for piece in range(_PIECES):
            opened.seek(max(0, size - _PIECE) * piece // (_PIECES - 1))
            found += opened.read(_PIECE)
    return bytes(found)


def _described(spec: ModelSpec) -> str:
    return f"“{spec.name}” ({spec.location or spec.source})"
