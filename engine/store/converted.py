"""Which file of another format a model's folder in the workspace's cache was written from."""

from pathlib import Path
from typing import Final

from engine.domain.errors import Damaged
from engine.domain.models import Converted
from engine.store.files import read_json, write_text

CONVERTED: Final = "gguf"  # their folder in the cache
_FILE: Final = "converted.json"


def converted_from(folder: Path) -> Converted | None:
    """None where it was written from none, or does not say."""
    try:
        return read_json(folder / _FILE, Converted)
    except Damaged:
        return None


def write_converted(folder: Path, made_of: Converted) -> None:
    """Raises StorageFailed."""
    write_text(folder / _FILE, made_of.to_json())
