"""Checkpoints on the Hugging Face hub: looked at by names, sizes and small JSON files; fetched when they are imported.

To be looked at, what lies there is laid out as a folder (JSON files whole, of others nothing but the name), so that a
folder on the hub is told as one on the disk is.
"""

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from engine.domain.errors import InputError
from engine.domain.foreign import renamed
from engine.domain.hub import HubFolder, HubId
from engine.domain.imports import FoundCheckpoint, ImportPreview
from engine.domain.jobs import CancelToken, Report, part
from engine.domain.models import ModelSpec
from engine.domain.numbers import memory
from engine.domain.paths import person_path
from engine.models.tokenizer_settings import TOKENIZER_FILES
from engine.workflows import full_folders
from engine.workflows.checkpoint_folders import (
    CONFIG,
    INDEX,
    PLAIN_CONFIG,
    TRAINER,
    in_folder,
    names_of,
    stored_words,
    why_not,
)
from engine.workflows.checkpoint_order import step_in

_READ: Final = frozenset({CONFIG, INDEX, PLAIN_CONFIG, TRAINER, full_folders.CONFIG, full_folders.INDEX})
_MOST_BYTES: Final = 64_000_000  # of a JSON file that is read for a preview
_MOST_FILES: Final = 20_000  # in one preview
_MOST_PARTS: Final = 4  # of a name below the folder: global_step_2/actor/lora_adapter/adapter_config.json
_AT_ONCE: Final = 8  # ids
_CACHE: Final = "its files in the Hugging Face cache"

Looked = Mapping[str, Sequence[FoundCheckpoint]]  # by the id as it was written


def hub_ids(items: Sequence[str]) -> dict[str, HubId]:
    """Those of the items that are no path here and can be an id. Nobody is asked. Raises InputError.

    What begins with a folder that is here is a path, if only a misspelt one, unless it has a revision.
    """
    ids = {item: hub for item in items if (hub := HubId.parse(item)) is not None}
    return {item: hub for item, hub in ids.items() if not _is_path(item, hub)}


def look_at(ids: Mapping[str, HubId]) -> Looked:
    """What lies under these ids. Small JSON files are read, into the Hugging Face cache; no weights.

    Raises ModelUnavailable, InputError (no checkpoint), Damaged.
    """
    if not ids:
        return {}
    from engine.models.hub import without_bars

    with without_bars(), ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(ids, pool.map(_look, ids.values()), strict=True))


def first_revision(items: Sequence[str], looked: Looked) -> str | None:
    """The base of a run of revisions where nobody names one: of several full models of one repository the first.

    None where these are not that.
    """
    found = {item: one[0] for item in items if len(one := looked.get(item, ())) == 1}
    usable = [one for one in found.values() if one.kind == "full" and (one.taken or _told(one) == 0)]
    if len(usable) != len(items) or len(items) < 2 or len({one.hub.id.name for one in usable if one.hub}) != 1:
        return None
    return min(items, key=lambda item: ((step := _told(found[item])) is None, step or 0))


def download_words(found: ImportPreview, model: ModelSpec | None, looked: Looked) -> str:
    """What an import onto `model` downloads first, for people; empty where that is nothing."""
    parts = [f"{memory(found.download_bytes)} from the hub into the Hugging Face cache"] if found.download_bytes else []
    if model is not None and model.source == "hub" and model.location not in looked:
        from engine.models.hub import cached_model

        parts += [] if cached_model(model.location) else [f"the base model {model.location}"]
    return f"Downloads {' and '.join(parts)} first. " if parts else ""


def fetched(
    found: Sequence[FoundCheckpoint], report: Report, cancel: CancelToken
) -> tuple[list[FoundCheckpoint], dict[str, str]]:
    """The same with their files in the Hugging Face cache, and for each folder there what the person calls it.

    Raises ModelUnavailable, InputError (a link that leaves the cache), Canceled.
    """
    from engine.models.hub import fetch

    sizes = [sum(one.hub.missing_bytes.values()) if one.hub else 0 for one in found]
    total, done = max(sum(sizes), 1), 0
    here, words = list[FoundCheckpoint](), dict[str, str]()
    for one, size in zip(found, sizes, strict=True):
        if one.hub is None:
            here.append(one)
            continue
        folder = fetch(one.hub, part(report, done / total, (done + size) / total), cancel)
        done += size
        words |= {str(folder): str(one.path), str(folder.resolve()): str(one.path)}
        if why := why_not(folder, one.kind):
            raise InputError(f"{one.path} cannot be taken in: {why.replace(str(folder), str(one.path))}.")
        here.append(one.model_copy(update={"path": folder}))
    return here, words


def _is_path(item: str, hub: HubId) -> bool:
    return person_path(item).exists() or (not hub.revision and person_path(item.partition("/")[0]).is_dir())


def _look(hub: HubId) -> tuple[FoundCheckpoint, ...]:
    from engine.models.hub import list_files

    listing = list_files(hub)
    with TemporaryDirectory() as place:
        root = Path(place).resolve() / PurePosixPath(hub.folder or hub.name).name
        listing = _laid_out(listing, root)
        with renamed({str(root): str(hub)}):
            found = list(in_folder(root))
        ones = tuple(_of_hub(one, root, listing) for one in found)
    alone = len(ones) == 1 and str(ones[0].path) == str(hub) and not hub.folder
    return (_by_revision(ones[0]),) if alone and "global_step" not in ones[0].trainer else ones


def _laid_out(listing: HubFolder, root: Path) -> HubFolder:
    """The same, with the small files here now."""
    from engine.models.hub import fetch_small

    parts_of = {one.name: PurePosixPath(one.name).relative_to(listing.id.folder).parts for one in listing.files}
    files = {name: parts for name, parts in parts_of.items() if len(parts) <= _MOST_PARTS}
    if len(files) > _MOST_FILES:
        raise InputError(
            f"{listing.id} holds {len(files):,} files. Give a folder of it, {listing.id.name}/FOLDER, of at most "
            f"{_MOST_FILES:,}."
        )
    root.mkdir()
    read = {one.name for one in listing.files if files.get(one.name, ("",))[-1] in _READ and one.n_bytes <= _MOST_BYTES}
    source = fetch_small(listing.only(read))
    for name, parts in files.items():
        path = root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in read:
            shutil.copyfile(source.joinpath(*parts), path)
        else:
            path.touch()
    now = (one.model_copy(update={"here": one.here or one.name in read}) for one in listing.files)
    return listing.model_copy(update={"files": tuple(now)})


def _of_hub(one: FoundCheckpoint, root: Path, listing: HubFolder) -> FoundCheckpoint:
    """`one` as found in the layout `root`, by its id and with the files that it takes."""
    hub = listing.id
    folder = str(PurePosixPath(hub.folder, one.path.relative_to(root).as_posix()))
    inner = hub.model_copy(update={"folder": "" if folder == "." else folder})
    tensors = {name for name in names_of(one.path, one.kind) if name.endswith(".safetensors")}
    wanted = {*names_of(one.path, one.kind), *TOKENIZER_FILES, CONFIG, INDEX, full_folders.INDEX}
    files = listing.only({str(PurePosixPath(inner.folder, name)) for name in wanted})
    n_bytes = sum(file.n_bytes for file in files.files if PurePosixPath(file.name).name in tensors)
    own_tokenizer = any(PurePosixPath(file.name).name == "tokenizer.json" for file in files.files)
    return one.model_copy(
        update={
            "path": Path(str(inner)),
            "hub": files.model_copy(update={"id": inner}),
            "why": _in_words(one.why, root, one.path, inner, hub) + _how_known(listing, one),
            "stored": stored_words(one.kind, n_bytes, _CACHE, own_tokenizer=own_tokenizer) if one.taken else "",
        }
    )


def _by_revision(one: FoundCheckpoint) -> FoundCheckpoint:
    """With the step that the revision's name tells. Step 0 is no checkpoint: it is where training began."""
    step = _told(one)
    if step == 0 and one.taken:
        why = "it is step 0, where training began: name it as the base model, or leave it out"
        return one.model_copy(update={"taken": False, "why": why, "stored": ""})
    return one.model_copy(update={"step": step}) if step else one


def _told(one: FoundCheckpoint) -> int | None:
    return step_in(one.hub.id.revision) if one.hub else None


def _in_words(why: str, root: Path, folder: Path, inner: HubId, outer: HubId) -> str:
    """A reason that names the id, and a command that finds it on the hub."""
    given = [repr(inner.name)]
    given += [f"subfolder={inner.folder!r}"] if inner.folder else []
    given += [f"revision={inner.revision!r}"] if inner.revision else []
    for place, words in ((repr(str(folder)), ", ".join(given)), (str(folder), str(inner)), (str(root), str(outer))):
        why = why.replace(place, words)
    return why


def _how_known(listing: HubFolder, one: FoundCheckpoint) -> str:
    return " (without a network, so only what is in the Hugging Face cache is known)" * (
        listing.offline and not one.taken
    )
