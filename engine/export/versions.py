"""What an export was made with."""

from importlib.metadata import version

from engine.domain.version import __version__

_PACKAGES = ("circuit-tracer", "torch", "transformers", "peft")


def versions() -> dict[str, str]:
    """Of Tracelapse and the packages that decide its figures, as installed here; nothing is imported for it."""
    return {"tracelapse": __version__} | {name: version(name) for name in _PACKAGES}
