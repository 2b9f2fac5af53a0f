"""Whether two folders' tokenizers surely read texts differently: by their files alone, without torch."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.models.tokenizer_settings import TOKENIZER_FILES
from engine.store.files import object_in

_FILE = TOKENIZER_FILES[0]
_OTHERS = tuple(name for name in TOKENIZER_FILES[1:] if name.endswith(".json"))


def read_differently(one: Path, other: Path) -> bool:
    """Of another vocabulary, or with a token that nothing names in the other folder. False where a tokenizer.json is
    not there, or tells no more: the job looks at all of it."""
    files = one / _FILE, other / _FILE
    try:
        if not all(file.is_file() for file in files) or files[0].read_bytes() == files[1].read_bytes():
            return False
        stamps = [(folder / name).stat().st_mtime_ns for folder in (one, other) for name in _there(folder)]
    except OSError:
        return False
    return _differ(one, other, tuple(stamps))


@lru_cache(maxsize=256)  # to read a large vocabulary takes a tenth of a second
def _differ(one: Path, other: Path, _stamps: tuple[int, ...]) -> bool:
    a, b = object_in(one / _FILE), object_in(other / _FILE)
    vocabularies = _vocabulary(a), _vocabulary(b)
    if not all(vocabularies):
        return False
    return vocabularies[0] != vocabularies[1] or _has_others(a, b, other) or _has_others(b, a, one)


def _there(folder: Path) -> list[str]:
    return [name for name in (_FILE, *_OTHERS) if (folder / name).is_file()]


def _vocabulary(words: dict[str, Any]) -> tuple[Any, list[Any]] | None:
    """Pieces, and which are joined: what no class of tokenizer changes."""
    model = words.get("model")
    if not isinstance(model, dict) or not model.get("vocab"):
        return None
    # Each a text in older files, a list of two in newer ones.
    joined = [one.split(" ") if isinstance(one, str) else one for one in model.get("merges") or []]
    return model["vocab"], joined


def _has_others(words: dict[str, Any], other: dict[str, Any], folder: Path) -> bool:
    """Whether it adds a token that is nowhere in the other folder: neither added nor known, nor told by a setting."""
    extra = _added(words) - _added(other)
    if not extra:
        return False
    known = json.dumps([other["model"]["vocab"], *(object_in(folder / name) for name in _there(folder)[1:])])
    return any(json.dumps(token) not in known for token in extra)


def _added(words: dict[str, Any]) -> set[str]:
    added = words.get("added_tokens")
    tokens = [one.get("content") for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    return {token for token in tokens if isinstance(token, str)}
