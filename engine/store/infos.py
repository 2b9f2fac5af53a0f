"""What the store says about its artefacts without reading them whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.domain.runs import RunConfig


@dataclass(frozen=True)
class CorpusInfo:
    """A corpus in a list."""

    name: str
    hash: str
    n_examples: int
    n_probes: int
    constraint_types: tuple[str, ...]
    bundled: bool
    n_pairs: int = 0
    has_pairs: bool = False  # its own, or such as can be made from its probes
    words: tuple[str, ...] | None = None  # `Corpus.words`; None: they are too many for a list


@dataclass(frozen=True)
class RunInfo:
    """A run in a list. `finished`: the last step's checkpoint is there and nothing is left to resume."""

    config: RunConfig
    steps: tuple[int, ...]  # of its checkpoints, ascending
    finished: bool
    bundled: bool
    created_at: float  # seconds since the epoch

    @property
    def name(self) -> str:
        return self.config.name


@dataclass(frozen=True)
class Problem:
    """One finding of `Store.check`.

    damaged: an artefact cannot be read as what it should be. index: files and index differ; `rebuild` mends it.
    leftover: unfinished work of a killed process; the next opening of the workspace removes it.
    """

    path: Path
    reason: str
    kind: Literal["damaged", "index", "leftover"] = "damaged"
