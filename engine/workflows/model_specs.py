"""From what a person writes to a base model."""

import hashlib
import re
from pathlib import Path

from engine.domain.errors import InputError
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.names import check_name
from engine.domain.paths import person_path
from engine.store.converted import converted_from

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)  # with a branch, tag or commit


def slug(text: str) -> str:
    """A name made of any text: lower case, what is not allowed becomes a dash. Raises NameRefused."""
    return check_name(re.sub(r"[^a-z0-9._-]+|\.{2,}", "-", text.lower()).strip("-._")[:64])


def model_spec(text: str, known: tuple[ModelSpec, ...] = ()) -> ModelSpec:
    """`demo`, the name of a known model, a folder with a Hugging Face model, a hub id, or a known model's GGUF file.

    Raises InputError where it is none of them.
    """
    for spec in (DEMO_MODEL, *known):
        if text == spec.name:
            return spec
    folder = person_path(text)
    if is_gguf(text):
        if there := _written_from(folder, known):
            return there
        raise InputError(
            f"{folder} is a GGUF file. Add it first: in the browser under “Add a model”, else `python -m engine models "
            f"add {folder}`."
        )
    if text.strip() and folder.is_dir():
        spec = ModelSpec(name=slug(folder.resolve().name), source="folder", location=str(folder.resolve()))
    elif text.strip() and folder.is_file():
        raise InputError(f"{folder} is a file. Name the folder that it lies in: {folder.parent}.")
    elif text.startswith((".", "/", "~", "\\")) or not _HUB_ID.fullmatch(text):
        raise InputError(
            f"“{text[:80]}” is not a model: there is no such folder. Give `demo`, a folder with a Hugging Face model, "
            "or a hub id such as google/gemma-2-2b (or EleutherAI/pythia-70m@step1000)."
        )
    else:
        spec = ModelSpec(name=slug(text.partition("/")[2] or text), source="hub", location=text)
    return renamed_spec(spec, known)


def added_spec(text: str, known: tuple[ModelSpec, ...] = ()) -> ModelSpec:
    """What `AddModel` is asked for: as `model_spec`, but a GGUF file by its path, with the name that it has or gets."""
    if not is_gguf(text):
        return model_spec(text, known)
    file = person_path(text).resolve()
    spec = ModelSpec(name=slug(file.stem), source="folder", location=str(file))
    there = _written_from(file, known)
    return spec.model_copy(update={"name": there.name}) if there else renamed_spec(spec, known)


def is_gguf(text: str) -> bool:
    """Whether it names a GGUF file that is here."""
    return text.strip().lower().endswith(".gguf") and person_path(text).is_file()


def _written_from(file: Path, known: tuple[ModelSpec, ...]) -> ModelSpec | None:
    for spec in known:
        made_of = converted_from(person_path(spec.location)) if spec.source == "folder" else None
        if made_of and made_of.file == str(file.resolve()):
            return spec
    return None


def renamed_spec(spec: ModelSpec, known: tuple[ModelSpec, ...]) -> ModelSpec:
    """With a mark where another model has its name."""
    taken = {other.name: other for other in (DEMO_MODEL, *known)}
    if spec.name in taken and taken[spec.name].location != spec.location:
        mark = hashlib.sha256(spec.location.encode()).hexdigest()[:6]
        spec = spec.model_copy(update={"name": f"{spec.name[:57]}-{mark}"})
    return spec
