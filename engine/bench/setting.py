"""Where the measures work: a throw-away workspace with the bundled demo on its second shelf."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.bench.ranked import RankedPrompt
from engine.demo import recipe
from engine.store import Store

CORPUS, RUN_A, TRANSCODERS, PROMPT = recipe.CORPUS, recipe.RUN_A, recipe.TRANSCODERS, recipe.PROMPTS[0]
ROOT = Path(__file__).resolve().parents[2]  # where app.py is


@dataclass(frozen=True)
class Setting:
    """What a measure may use. Nothing of it is the user's own."""

    store: Store
    folder: Path  # for what is no artefact of the store
    ranked: list[RankedPrompt] = field(default_factory=list)  # what rankings were worth, for `keep_rankings`


@contextmanager
def throw_away() -> Iterator[Setting]:
    """A setting that is removed at the end."""
    with TemporaryDirectory(prefix="tracelapse-bench-", ignore_cleanup_errors=True) as folder:
        yield Setting(Store(Path(folder) / "workspace"), Path(folder))
