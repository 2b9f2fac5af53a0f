"""Make the real model and the corpus in English known by name, for the pages and the command line."""

from pathlib import Path

from engine.corpus.english import english
from engine.domain.jobs import CancelToken, Report
from engine.domain.models import ModelSpec
from engine.domain.real_model import NAME
from engine.store import Store, cache_of
from engine.workflows.model_specs import renamed_spec


def add_real_model(store: Store, report: Report, cancel: CancelToken) -> str:
    """Write it into the workspace's cache where it is not there yet, and offer it. Returns its name, which has a mark
    where another model is called so.

    Raises ModelUnavailable (its packages are not installed), Damaged, StorageFailed, Canceled.
    """
    from engine.models.real_model import real_model

    cancel.check()
    report(0.0, "writing SmolLM2-135M")
    return offer(store, NAME, real_model(cache_of(store.workspace)))


def offer(store: Store, name: str, folder: Path) -> str:
    """Returns the name that it has. Raises InputError where the workspace has another corpus of that name."""
    spec = renamed_spec(ModelSpec(name=name, source="folder", location=str(folder)), tuple(store.models()))
    store.save_model(spec)
    store.save_corpus(english())
    return spec.name
