"""Where a fine-tune from elsewhere has tokens or a tokenizer that its base has not."""

import dataclasses
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.domain.errors import Damaged, InputError, TracelapseError
from engine.domain.hub import HubId
from engine.domain.imports import FoundCheckpoint
from engine.domain.names import CheckpointRef
from engine.domain.numbers import plural
from engine.models.tokenizer_settings import TOKENIZER_FILES
from engine.store import Store
from engine.store.layout import ADDED, ADDED_ROWS
from engine.store.run_files import referred_to
from engine.store.tensor_headers import tensor_headers
from engine.workflows.checkpoint_folders import stays, tensor_files

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

_MOST_NAMED = 8


def with_vocabulary(loaded: "LoadedModel", found: Sequence[FoundCheckpoint], folder: Path) -> "LoadedModel":
    """The base as the checkpoints need it; `folder` then holds what it has besides its own, else stays empty. `loaded`
    is not written to.

    Raises InputError (checkpoints of several vocabularies, or of a smaller one than the base's), Damaged.
    """
    from engine.models.added_tokens import n_rows, n_rows_in, name_added, with_added, write_rows, write_tokenizer
    from engine.models.base import load_base

    own = n_rows(loaded.model)
    needed = own
    for one in found:
        rows = n_rows_in(loaded.model, tensor_files(one)) or own
        if rows < own:
            raise InputError(
                f"{one.path} has embeddings for {rows} tokens, and “{loaded.spec.name}” for {own}. Name the model that "
                "it began from."
            )
        if one is not found[0] and rows != needed:
            raise InputError(
                f"{one.path} has embeddings for {rows} tokens, and {found[0].path} for {needed}. Import checkpoints of "
                "one vocabulary as one run."
            )
        needed = rows
    if needed > own:
        write_rows(loaded, tensor_files(found[0]), folder)
    if source := _own_tokenizer(loaded, found, needed):
        write_tokenizer(source, _tokenizer_files(source), folder)
    if not any(folder.iterdir()):
        return loaded
    spec = loaded.spec.model_copy(update={"vocabulary": name_added(loaded, folder)})
    own_copy = load_base(loaded.spec, loaded.folder)  # others use `loaded`, and rows are added in place
    return dataclasses.replace(with_added(own_copy, folder), spec=spec)


def words_base_lacks(store: Store, refs: Sequence[str], prompt: str) -> tuple[str, ...]:
    """The tokens of a prompt that a base among the checkpoints (RUN@LABEL) has no embedding of its own for.

    Empty where the prompt cannot be read: tracing it says why.
    """
    found: dict[str, None] = {}
    for ref in refs:
        try:
            config = store.run(CheckpointRef.parse(ref).run)
            folder = store.vocabulary_folder(config.model)
            if folder is None or store.checkpoint(ref).step or not (folder / "tokenizer.json").is_file():
                continue
            found |= dict.fromkeys(_words_from(folder / "tokenizer.json", n_base_rows(folder), prompt))
        except TracelapseError:
            continue
    return tuple(found)


@lru_cache(maxsize=64)  # a page asks at every rerun; the folder's name tells its content
def _words_from(file: Path, first: int, prompt: str) -> tuple[str, ...]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    numbers = tokenizer.encode(prompt, add_special_tokens=False).ids
    added = [number for number in numbers if number >= first]
    return tuple(tokenizer.decode([number], skip_special_tokens=False).strip() for number in added)


def said_of_base(words: Sequence[str]) -> str:
    """What `words_base_lacks` has found, for people; empty where that is nothing."""
    if not words:
        return ""
    named = ", ".join(f"“{word}”" for word in words[:_MOST_NAMED])
    return (
        f"The base has no token {named}: training added it. The base is given its embedding from the run’s first "
        "checkpoint: as it was before training where that is kept there, else as it is then."
    )


def what_is_kept(store: Store, run: str) -> list[str]:
    """Of an imported run: folders that it refers to, and what its base was given. Raises NotFound, Damaged."""
    parts, cached = [], dict[str, list[str]]()
    for checkpoint in store.checkpoints(run):
        source = referred_to(checkpoint.folder)
        if source is not None and (hub := HubId.of_cached(source)):
            cached.setdefault(hub.name, []).append(checkpoint.label)
        elif source is not None:
            parts.append(
                f"{checkpoint.label} stays in {source} and is read from there: nearly all of it differs from the base. "
                "Do not move or change that folder."
            )
    for name, labels in cached.items():
        parts.append(
            f"{', '.join(labels)}: nearly all differs from the base, so the weights of {name} stay in the Hugging Face "
            "cache and are read from there. Keep them in it."
        )
    folder = store.vocabulary_folder(store.run(run).model)
    if folder is None:
        return parts
    if n_added := _n_added(folder):
        parts.append(
            f"{plural(n_added, 'token')} that the base does not have: it is given their embeddings from the first "
            "checkpoint."
        )
    if (folder / "tokenizer.json").is_file():
        parts.append("Prompts are read with the checkpoints’ own tokenizer.")
    return parts


def n_base_rows(folder: Path) -> int:
    """Of the base's own, in a stored vocabulary. Raises Damaged."""
    try:
        return int(json.loads((folder / ADDED).read_text(encoding="utf-8"))["n_base"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(folder / ADDED, "it does not say how many rows the base has", "Import the run again.") from error


def _n_added(folder: Path) -> int:
    rows = folder / ADDED_ROWS
    return next((one.shape[0] for one in tensor_headers(rows) if one.name == "input"), 0) if rows.is_file() else 0


def _own_tokenizer(loaded: "LoadedModel", found: Sequence[FoundCheckpoint], n_rows: int) -> Path | None:
    """The folder of the last tokenizer that reads texts otherwise than the base's, if the model has rows for it."""
    from engine.models.added_tokens import reading
    from engine.models.tokenizer_files import read_tokenizer

    source = next((one.path for one in reversed(found) if _tokenizer_files(one.path)), None)
    if source is None:
        return None
    tokenizer = read_tokenizer(source, loaded.model.config)
    largest = max(tokenizer.get_vocab().values())
    same = reading(tokenizer) == reading(loaded.tokenizer) and tokenizer.chat_template == loaded.tokenizer.chat_template
    return None if same or largest >= n_rows else source


def _tokenizer_files(folder: Path) -> list[str]:
    """Those that lie in a folder; none where tokenizer.json does not."""
    there = [name for name in TOKENIZER_FILES if (folder / name).is_file() and stays(folder, name)]
    return there if TOKENIZER_FILES[0] in there else []
