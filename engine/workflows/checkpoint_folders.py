"""Which checkpoints lie where a person points to, as public tools leave them. Reads names and small JSON files only."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from engine.domain.errors import Damaged, InputError
from engine.domain.hub import HubId
from engine.domain.imports import FoundCheckpoint, FoundKind, ImportPreview
from engine.domain.numbers import memory
from engine.domain.words import listed
from engine.models.adapter_settings import why_refused
from engine.store.files import file_hash, object_in
from engine.store.run_files import referred_to
from engine.workflows import full_folders
from engine.workflows.checkpoint_order import (
    ONE,
    SEVERAL,
    by_step,
    could_have_step,
    epochs_from_one,
    in_order,
    is_named_by_step,
    step_in,
)
from engine.workflows.trainer_logs import read_log, whole_number

WEIGHTS, CONFIG, TRAINER = "adapter_model.safetensors", "adapter_config.json", "trainer_state.json"
INDEX, _SHARDS = f"{WEIGHTS}.index.json", "adapter_model-*-of-*.safetensors"  # of a large adapter
_INDEXES = (INDEX, full_folders.INDEX)  # transformers gives that of an adapter the name of a whole model's
PLAIN_WEIGHTS, PLAIN_CONFIG = "weights.safetensors", "weights.json"
_FILES: Final[dict[FoundKind, tuple[str, str]]] = {
    "adapter": (CONFIG, WEIGHTS),
    "changed weights": (PLAIN_CONFIG, PLAIN_WEIGHTS),
}
_MOST_NAMED = 10  # of refused folders
_DEPTH = 3  # levels below a folder's own children: saves/llama/lora/sft/checkpoint-500
_MOST_LOOKED_INTO = 2000  # folders, besides a folder's children and theirs: a whole home would take minutes
_LARGE = 1 << 28  # bytes; larger files are told apart by samples


def files_of(kind: FoundKind) -> tuple[str, str]:
    """What says what it is, and its tensors. A full fine-tune becomes changed weights when it is taken in."""
    return _FILES["changed weights" if kind == "full" else kind]


def tensor_files(one: FoundCheckpoint) -> list[Path]:
    """The files of a checkpoint's tensors."""
    return [one.path / name for name in names_of(one.path, one.kind)[1:]]


def preview(
    folders: Sequence[Path],
    *,
    steps: Sequence[int] = (),
    looked: Mapping[str, Sequence[FoundCheckpoint]] = MappingProxyType({}),
    base: str = "",
) -> ImportPreview:
    """What an import of these folders would take: of each the checkpoint that it is, and those in it.

    The order comes from Trainer's state, else from the number in a folder's name; `steps` set it, in the order of the
    preview without them. What lies beside a series and is no part of it is left out (`checkpoint_order`). `looked`:
    what lies on the hub, by its id, which then stands among the folders (`hub_checkpoints.look_at`). `base`: an id
    among them that is the base itself. Raises InputError (no folder, no checkpoint, another number of steps than
    checkpoints), Damaged (a state or configuration that cannot be read).
    """
    at_base = looked.get(base, ())
    folders = [folder for folder in folders if not at_base or folder.as_posix() != base]
    if not folders:
        only = f"{base} is the base model itself" if at_base else "No folder was given"
        raise InputError(f"{only}. Give at least one checkpoint folder{' or other revision' if at_base else ''}.")
    try:
        by_folder = {folder: list(looked.get(folder.as_posix()) or in_folder(folder)) for folder in folders}
        every = epochs_from_one([one for ones in by_folder.values() for one in ones])
        distinct = _without_copies(sorted(every, key=by_step))
    except OSError as error:
        raise InputError(
            f"{error.filename or folders[0]} cannot be read ({error.strerror or error}). Give the user who runs "
            "Tracelapse the right to read the whole folder."
        ) from error
    alone = {ones[0].path for ones in by_folder.values() if len(ones) == 1}
    inside = {one.path: folder for folder, ones in by_folder.items() for one in ones if one.path not in alone}
    taken = in_order(distinct, inside, steps)
    checkpoints = tuple(sorted(taken, key=lambda one: (not could_have_step(one), by_step(one))))
    fetched = [one.hub for one in (*at_base, *(one for one in taken if one.taken)) if one.hub]
    missing = {mark: n_bytes for hub in fetched for mark, n_bytes in hub.missing_bytes.items()}
    return ImportPreview(checkpoints=checkpoints, download_bytes=sum(missing.values()))


def refusal(found: ImportPreview) -> str:
    """What an import says that was asked for what cannot be taken; empty where all can be."""
    if not found.refused:
        return ""
    named = "; ".join(f"{one.path}: {one.why}" for one in found.refused[:_MOST_NAMED])
    more = len(found.refused) - _MOST_NAMED
    return f"Not taken in: {named}{f'; and {more} more' if more > 0 else ''}."


def log_notes(found: ImportPreview) -> str:
    """Of the losses that an import would take: those of the last checkpoint's state."""
    return read_log(found.taken[-1].trainer)[1] if found.taken else ""


def in_folder(folder: Path) -> Iterator[FoundCheckpoint]:
    """The folder itself, those in it, and those in a trainer's output in it or a few folders down. Two adapters in one
    are refused.

    Raises InputError (no folder, no checkpoint), Damaged, OSError.
    """
    _refuse_no_folder(folder)
    own = [_found(folder, folder)] if _kind(folder) else []
    left = iter(range(_MOST_LOOKED_INTO))
    inner = [found for child in _children(folder) for found in _in_child(child, _DEPTH, left)]
    if not own and not inner:
        raise InputError(
            f"{folder} holds no checkpoint: there is no {CONFIG}, {full_folders.WEIGHTS} or {PLAIN_CONFIG} in it or in "
            "a folder of it. Give the folders that save_pretrained or Trainer wrote."
        )
    if any(one.taken for one in inner) and own and own[0].kind == "full" and not full_folders.weight_files(folder):
        own = []  # something exported beside them, such as a GGUF file
    if own and not any(one.step for one in inner):
        inner = []  # what lies in a checkpoint, such as a second adapter, is not another one
    if own and not inner and own[0].step is None:
        own = [_found(folder, _named_by_step(folder))]
    yield from inner
    yield from own


def _named_by_step(folder: Path) -> Path:
    """What tells the step of one adapter: the folder itself, or of the two around it the first that is named by one, as
    in `checkpoint-2/style` and `global_step_10/actor/lora_adapter`. A bare number up there may be a date."""
    place = folder.resolve()
    return next((up for up in place.parents[:2] if not up.name.isdigit() and step_in(up.name) is not None), folder)


def _refuse_no_folder(folder: Path) -> None:
    """Raises InputError saying what to name instead."""
    if folder.is_dir():
        return
    if folder.suffix.lower() == ".gguf" and folder.is_file():
        raise InputError(f"{folder} is a GGUF file, no checkpoint: {full_folders.from_gguf(folder)}.")
    if folder.is_file():
        raise InputError(f"{folder} is a file. Name the folder that it lies in: {folder.parent}.")
    hub = f" Of an id on the hub, write {folder}@main." if HubId.parse(folder.as_posix()) else ""
    raise InputError(f"{folder} is not a folder. Check the path: it must be on the machine that runs Tracelapse.{hub}")


def _in_child(folder: Path, depth: int, left: Iterator[int]) -> list[FoundCheckpoint]:
    """A checkpoint, the one adapter in it that has a name of its own (Trainer's state then lies beside that), those of
    a trainer's output, or those further down, as in `global_step_10/actor/lora_adapter` and `run-1/checkpoint-5/hf`.

    `depth`: levels that may still be gone down; `left`: one for every folder that may still be looked into.
    """
    is_one, has_step = _kind(folder) is not None, step_in(folder.name) is not None
    if is_one and has_step:
        return [_found(folder, folder)]
    children = _children(folder)
    named = [child for child in children if _kind(child)]
    if sum(step_in(child.name) is not None for child in named) > 1:
        return [_found(child, child) for child in (*named, *([folder] if is_one else []))]
    if is_one:
        return [_found(folder, folder)]
    if depth and not (has_step and named):
        inside = [child for child in children if next(left, None) is not None]
        deeper = [one for child in inside for one in _in_child(child, depth - 1, left)]
        if not named or any(one.step for one in deeper):
            return deeper
    if len(named) > 1:
        return [
            FoundCheckpoint(
                step=step_in(folder.name), path=folder, kind=_kind(named[0]) or "adapter", taken=False,
                why=f"it holds {_counted(named)} ({', '.join(one.name for one in named)}): name the folder of one",
            )
        ]  # fmt: skip
    return [_found(child, folder if has_step else _named_by_step(child)) for child in named]


def _counted(folders: Sequence[Path]) -> str:
    """`3 adapters and a full model`."""
    kinds = Counter(kind for folder in folders if (kind := _kind(folder)) is not None)
    return listed([ONE[kind] if n == 1 else f"{n} {SEVERAL[kind]}" for kind, n in kinds.items()])


def _children(folder: Path) -> list[Path]:
    """In the order of the numbers in their names: `ep2` before `ep10`."""
    children = (child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    return sorted(children, key=lambda child: re.sub(r"\d+", lambda number: number[0].zfill(20), child.name))


def _kind(folder: Path) -> FoundKind | None:
    small = next((kind for kind, (about, _) in _FILES.items() if (folder / about).exists()), None)
    return small or ("full" if full_folders.is_full(folder) else None)


def names_of(folder: Path, kind: FoundKind) -> tuple[str, ...]:
    """The files of a checkpoint: what says what it is, and its tensors."""
    if kind == "full":
        return (full_folders.CONFIG, *full_folders.weight_files(folder))
    return (CONFIG, *(_shards(folder)[1] or (WEIGHTS,))) if kind == "adapter" else _FILES[kind]


def _shards(folder: Path) -> tuple[str, tuple[str, ...]]:
    """The index of an adapter in several files, and these; of one in one file nothing."""
    if not (folder / WEIGHTS).exists():
        for index in _INDEXES:
            shards = full_folders.shards_in(folder / index)
            if shards and all(Path(name).name.startswith("adapter_model") for name in shards):
                return index, shards
    return "", ()


def _found(folder: Path, outer: Path) -> FoundCheckpoint:
    """`outer`: where its step is told, which for a named adapter is the folder around it."""
    kind = _kind(folder)
    assert kind is not None
    trainer = _trainer_state(
        next((at / TRAINER for at in (folder, outer) if (at / TRAINER).exists()), folder / TRAINER)
    )
    why = why_not(folder, kind)
    step = whole_number(trainer.get("global_step")) or step_in(outer.resolve().name)
    base = _base_of(folder / names_of(folder, kind)[0])
    stored = "" if why else _stored(folder, kind)
    return FoundCheckpoint(
        step=step, path=folder, kind=kind, taken=not why, why=why, base=base, stored=stored, trainer=trainer
    )  # fmt: skip


def _stored(folder: Path, kind: FoundKind) -> str:
    names = names_of(folder, kind)
    n_bytes = sum((folder / name).stat().st_size for name in (names[1:] if kind == "full" else names))
    return stored_words(kind, n_bytes, "this folder", own_tokenizer=(folder / "tokenizer.json").exists())


def stored_words(kind: FoundKind, n_bytes: int, where: str, *, own_tokenizer: bool) -> str:
    """What the run will keep of a checkpoint. `n_bytes`: of its files; `where` they lie, if they are referred to."""
    words = "; its tokenizer, where it reads otherwise than the base’s" if own_tokenizer else ""
    if kind != "full":
        return f"a copy, {memory(n_bytes)}{words}"
    most = memory(round(full_folders.DIFFERENCE_AT_MOST * n_bytes))
    return f"what differs from the base, at most {most}; where more does, only a reference to {where}{words}"


def _base_of(about: Path) -> str:
    """Empty where the file does not say it, or cannot be read: what is wrong with it, the import tells."""
    fields = object_in(about)
    named = next((fields[key] for key in ("base_model_name_or_path", "base", "_name_or_path") if fields.get(key)), "")
    return named if isinstance(named, str) else ""


def why_not(folder: Path, kind: FoundKind) -> str:
    """Why a checkpoint cannot be taken in, with the way out; empty where nothing speaks against it."""
    for name in names_of(folder, kind):
        if (folder / name).exists() and not stays(folder, name):
            return f"{name} is a link to a file outside its folder: copy the file there instead"
        if (folder / name).exists() and not (folder / name).is_file():
            return f"{name} is no file, but a folder or a pipe: put the file there"
    if kind == "full":
        return full_folders.why_not_full(folder)
    if kind == "changed weights" and (source := referred_to(folder)):
        return f"its weights lie in {source}: give that folder"
    if why := _why_no_weights(folder, _FILES[kind][1]):
        return why
    fields = object_in(folder / CONFIG)
    # Of what cannot be read, or says no type, the import tells what is wrong.
    return f"it {why}" if "peft_type" in fields and (why := why_refused(fields)) else ""


def _why_no_weights(folder: Path, weights: str) -> str:
    """`weights`: the file that they should be in; of an adapter, its shards will do."""
    if (folder / weights).is_file():
        return ""
    index, shards = _shards(folder)
    if weights == WEIGHTS and shards:
        return full_folders.why_not_whole(folder, shards, index)
    if weights == WEIGHTS and any(folder.glob(_SHARDS)):
        return f"it has shards and no index that names them ({' or '.join(_INDEXES)}): copy it there"
    pickled = (folder / "adapter_model.bin").exists()
    only = " (a pickled adapter_model.bin is there, which is never read)" if pickled else ""
    return f"it has no {weights}{only}: save it with safetensors"


def stays(folder: Path, name: str) -> bool:
    """Whether a file is in its folder, or a link into the blobs of the Hugging Face cache that the folder is in."""
    target, home = (folder / name).resolve(), folder.resolve()
    caches = [above.parent / "blobs" for above in (home, *home.parents) if above.name == "snapshots"]
    return any(target.is_relative_to(place) for place in (home, *caches))


def _trainer_state(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    if not stays(path.parent, path.name):
        raise InputError(f"{path} is a link to a file outside its folder. Copy the file there instead.")
    remedy = "Remove it; the step is then read from the folder's name."
    if not path.is_file():
        raise Damaged(path, "it is a folder or a pipe", remedy)
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(path, f"it is not JSON ({error})", remedy) from error
    if not isinstance(state, dict):
        raise Damaged(path, "it is not Trainer's state", remedy)
    return state


def _without_copies(found: Sequence[FoundCheckpoint]) -> list[FoundCheckpoint]:
    """Of one step, or without any, a folder with the weights of another one is not a further checkpoint.

    Where steps tell all of them apart no weights are read.
    """
    counts = Counter(one.step for one in found if one.taken)
    if not counts[None] and max(counts.values(), default=0) < 2:
        return list(found)
    kept: list[FoundCheckpoint] = []
    firsts: dict[str, list[FoundCheckpoint]] = {}  # by content
    for one in found:
        same = firsts.setdefault(_content(one), []) if one.taken else []
        first = next((other for other in same if one.step == other.step or not is_named_by_step(one)), None)
        same.append(one)
        why = f"the same as {first.path}" if first else ""
        other = {"taken": False, "why": why, "same_as": first.path, "stored": ""} if first else {}
        kept.append(one.model_copy(update=other))
    return kept


def _content(one: FoundCheckpoint) -> str:
    """Small ones by their bytes, large ones by samples: to read gigabytes for a preview takes too long.

    Of one on the hub what the hub says.
    """
    if one.hub is not None:
        return " ".join(file.mark for file in one.hub.files if file.name.endswith(".safetensors"))
    if one.kind == "full" and full_folders.weight_bytes_on_disk(one.path) > _LARGE:
        return full_folders.sampled(one.path)
    return " ".join(_bytes_of(one.path / name) for name in names_of(one.path, one.kind)[1:])


def _bytes_of(weights: Path) -> str:
    size = weights.stat().st_size
    if size > _LARGE:
        return f"{weights.resolve()} {size}"
    return file_hash(weights.resolve())
