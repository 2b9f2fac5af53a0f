"""SmolLM2-135M from a Python package, as a Hugging Face folder: a real language model for tests and measures.

The package holds the weights in four bits (GGUF). They are written once in float32 and held to a hash, so that every
test and figure speaks of the same model. The package itself is never imported: it belongs to another program.
"""

import hashlib
import importlib.util
from pathlib import Path

import torch
from filelock import FileLock

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.real_model import NAME, PACKAGE, missing_packages
from engine.models.gguf import write_folder
from engine.models.gguf_header import gguf_header
from engine.store.files import new_folder

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
_INSTALL = "pip install --no-deps -r requirements-real.txt"


def real_model(cache: Path) -> Path:
    """The model's folder in `cache`, written there where it is not yet: 540 MB, half a minute on one core.

    Safe between processes. Raises ModelUnavailable (the packages are not installed), Damaged (their file or what was
    made of it is not what it should be), StorageFailed.
    """
    folder = cache / NAME
    if missing := missing_packages():
        raise ModelUnavailable(
            f"The packages of SmolLM2-135M are not installed ({', '.join(missing)}). Run `{_INSTALL}` in the "
            "repository, with the pip of its environment."
        )
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f".{NAME}.lock"):
        if not (folder / WEIGHTS).is_file() or _sha256(folder / WEIGHTS) != WEIGHTS_SHA256:
            with new_folder(folder, replace=True) as new:
                _write(new)
    return folder


def _write(folder: Path) -> None:
    source = _package_file()
    if (found := _sha256(source)) != GGUF_SHA256:
        raise Damaged(
            source,
            f"its sha256 is {found[:16]}… and should be {GGUF_SHA256[:16]}…",
            f"Run `{_INSTALL} --force-reinstall`.",
        )
    try:
        write_folder(source, folder, torch.float32, gguf_header(source))
    except Damaged as error:
        raise Damaged(source, error.reason, f"Run `{_INSTALL} --force-reinstall`.") from error
    if (found := _sha256(folder / WEIGHTS)) != WEIGHTS_SHA256:
        raise Damaged(
            folder / WEIGHTS,
            f"the weights made of {GGUF} have the sha256 {found[:16]}… instead of {WEIGHTS_SHA256[:16]}…",
            "Install the versions that requirements.txt and requirements-real.txt name.",
        )


def _package_file() -> Path:
    """Where the package has the weights, without importing it: that would need the program it belongs to."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name(GGUF)


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise Damaged(file, "the file is missing", f"Run `{_INSTALL} --force-reinstall`.") from error
