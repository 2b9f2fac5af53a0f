"""Transcoder sets: sparse stand-ins for each layer's MLP, ours or published, from a folder or from the hub.

`engine.models.formats` has a file for each form that is read.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from engine.domain.errors import InputError
from engine.domain.paths import person_path
from engine.models.base import LoadedModel
from engine.models.formats import FORMATS, format_of, published
from engine.models.formats.layout import AnyTranscoders
from engine.models.formats.ours import ReluTopK, layer_files, new_transcoders, save_transcoders

__all__ = [
    "AnyTranscoders",
    "ReluTopK",
    "load_transcoders",
    "new_transcoders",
    "save_transcoders",
    "transcoders_hash",
]


def load_transcoders(source: Path | str, loaded: LoadedModel) -> AnyTranscoders:
    """A set from a folder in any of the formats, or a published set by its name or hub id.

    Raises Damaged (a file that is not what it should be), InputError (made for another model, or of a kind that is not
    computed here), ModelUnavailable (cannot be had here).
    """
    folder = person_path(source)
    if not folder.is_dir():
        return published.read(str(source), loaded)
    form = format_of(folder)
    if form is None:
        known = ", ".join(form.title for form in FORMATS)
        raise InputError(
            f"{folder} is not a transcoder set: it has neither set.json nor config.yaml, and no layer in a form that "
            f"is known ({known}). Give the folder with all layers of one set."
        )
    return form.read(folder, loaded)


def transcoders_hash(source: Path | str) -> str:
    """16 hex digits: of the files that decide what a folder's set computes, of the name for a published set.

    Raises Damaged for a config that cannot be read.
    """
    digest = hashlib.sha256()
    folder = person_path(source)
    if not folder.is_dir():
        digest.update(str(source).encode())
        return digest.hexdigest()[:16]
    form = format_of(folder)
    for path in form.files(folder) if form else layer_files(folder):
        digest.update(path.relative_to(folder).as_posix().encode())
        if path.is_file():  # what is missing is told when the set is read
            status = path.stat()
            digest.update(_content(path, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:16]


@lru_cache(maxsize=4096)
def _content(path: Path, _size: int, _changed_ns: int) -> bytes:
    """sha256 of the file as it is now: a published set has gigabytes, and every job asks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
