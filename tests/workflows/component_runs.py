"""A workspace with two runs of a tiny Llama, made once and copied for each test."""

import shutil
from dataclasses import replace
from pathlib import Path

from engine.store import Store
from tests.attribution.parts import workspace
from tests.tiny import tiny_corpus


def two_runs(folder: Path) -> Path:
    """The workspace: runs `one` and `two` on the corpus `tiny`; `simple` has the probes of one type of it."""
    store = Store(folder / "made", bundled=None)
    workspace(store, "llama", folder / "base")
    probes = tuple(probe for probe in tiny_corpus().probes if probe.constraint_type == "simple_mapping")
    store.save_corpus(replace(tiny_corpus(), name="simple", probes=probes))
    store.close()
    return store.workspace


def copied(made: Path, store: Store) -> Store:
    """`store` with everything of `made`."""
    shutil.copytree(made, store.workspace, dirs_exist_ok=True, ignore=shutil.ignore_patterns("index.*"))
    store.sync()
    return store
