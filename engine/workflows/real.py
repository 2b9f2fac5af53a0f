"""Make the real model and the corpus in English known by name, for the Train page and the command line."""

from pathlib import Path

from engine.corpus.english import english
from engine.domain.models import ModelSpec
from engine.store import Store


def offer(store: Store, name: str, folder: Path) -> None:
    """Raises InputError where the workspace has another corpus of that name."""
    store.save_model(ModelSpec(name=name, source="folder", location=str(folder)))
    store.save_corpus(english())
